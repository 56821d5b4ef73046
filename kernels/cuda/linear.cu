// Fully connected layers: a warp computes one output for four rows. Each lane sums its share of the inputs in
// order, then the lanes' sums meet in a fixed pattern, so that a row's result never depends on other rows.
#include "divisor.cuh"
#include "epilogue.cuh"

constexpr int WARPS = 4;
constexpr int ROWS = 4;

template <Element E>
DEVICE void linear(const LinearArguments& arguments) {
  u32 lane = thread_index() % 32, group = divide(block_index(), arguments.by_output_blocks);
  u32 output = (block_index() - group * arguments.output_blocks) * WARPS + thread_index() / 32;
  bool exists = output < arguments.outputs;
  float sums[ROWS] = {};
  for (u32 input = lane * CHANNELS_AT_ONCE; input < arguments.inputs && exists; input += 32 * CHANNELS_AT_ONCE) {
    float weights[8];
    load_channels<E>(weights, arguments.weights, u64{output} * arguments.inputs + input);
    UNROLL for (int i = 0; i < ROWS; i++) {
      u32 row = group * ROWS + i;
      if (row < arguments.rows) {
        float values[8];
        load_channels<E>(values, arguments.input, u64{row} * arguments.inputs + input);
        UNROLL for (int j = 0; j < 8; j++) sums[i] = fused_multiply_add(values[j], weights[j], sums[i]);
      }
    }
  }
  UNROLL for (int i = 0; i < ROWS; i++) {
    UNROLL for (u32 difference = 16; difference > 0; difference /= 2) sums[i] += shuffle_xor(sums[i], difference);
    u32 row = group * ROWS + i;
    if (exists && row < arguments.rows && lane == 0) {
      float bias = load_global<float>(reinterpret_cast<const float*>(arguments.bias) + output);
      float* target = reinterpret_cast<float*>(arguments.output) + u64{row} * arguments.outputs + output;
      float result[1] = {sums[i] + bias};
      activate(arguments.epilogue, result);
      store_global(target, result[0]);
    }
  }
}

KERNEL(f16_linear, LinearArguments, WARPS * 32) { linear<Element::F16>(arguments); }
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
KERNEL(bf16_linear, LinearArguments, WARPS * 32) { linear<Element::BF16>(arguments); }
#endif
KERNEL(f32_linear, LinearArguments, WARPS * 32) { linear<Element::F32>(arguments); }
