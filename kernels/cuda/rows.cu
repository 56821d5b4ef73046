// Softmax and top-k over rows of f32: one block per row.
#include "arguments.cuh"

constexpr u32 THREADS = 128;
constexpr u32 WARPS = THREADS / 32;

// The value that `combine` makes of all threads' values, in a fixed pattern; the same for every thread.
template <class Combine>
DEVICE float combine_block(float value, Combine combine) {
  UNROLL for (u32 difference = 16; difference > 0; difference /= 2) value = combine(value, shuffle_xor(value, difference));
  block_barrier();
  if (thread_index() % 32 == 0) store_shared(thread_index() / 32 * 4, value);
  block_barrier();
  value = load_shared<float>(0);
  UNROLL for (u32 warp = 1; warp < WARPS; warp++) value = combine(value, load_shared<float>(warp * 4));
  return value;
}

KERNEL(f32_softmax, RowArguments, THREADS) {
  const float* row = reinterpret_cast<const float*>(arguments.input) + u64{block_index()} * arguments.columns;
  float* result = reinterpret_cast<float*>(arguments.output) + u64{block_index()} * arguments.columns;
  float largest = float_from_bits(0xff800000u);
  for (u32 i = thread_index(); i < arguments.columns; i += THREADS) {
    float value = load_global<float>(row + i);
    largest = value > largest ? value : largest;
  }
  largest = combine_block(largest, [](float a, float b) { return a > b ? a : b; });
  float sum = 0;
  for (u32 i = thread_index(); i < arguments.columns; i += THREADS) sum += exponential(load_global<float>(row + i) - largest);
  sum = combine_block(sum, [](float a, float b) { return a + b; });
  for (u32 i = thread_index(); i < arguments.columns; i += THREADS) {
    store_global(result + i, exponential(load_global<float>(row + i) - largest) / sum);
  }
}

// A number that is larger for better columns: by score, then by lower column. NaN is worse than every number.
DEVICE u64 rank(float score, u32 column) {
  u32 bits = float_bits(score + 0.0f);  // both zeros are equal
  u32 ordered = score != score ? 0 : (bits >> 31 != 0 ? ~bits : bits | 0x80000000u);
  return u64{ordered} << 32 | (0xffffffffu - column);
}

DEVICE u64 larger(u64 a, u64 b) { return a > b ? a : b; }

// Finds the best, then the best that is worse than it, and so on.
KERNEL(f32_top_k, RowArguments, THREADS) {
  const float* row = reinterpret_cast<const float*>(arguments.input) + u64{block_index()} * arguments.columns;
  u64 previous = ~u64{0};
  for (u32 place = 0; place < arguments.count; place++) {
    u64 best = 0;
    for (u32 i = thread_index(); i < arguments.columns; i += THREADS) {
      u64 candidate = rank(load_global<float>(row + i), i);
      if (candidate < previous) best = larger(best, candidate);
    }
    UNROLL for (u32 difference = 16; difference > 0; difference /= 2) {
      u32 high = shuffle_xor(static_cast<u32>(best >> 32), difference), low = shuffle_xor(static_cast<u32>(best), difference);
      best = larger(best, u64{high} << 32 | low);
    }
    block_barrier();
    if (thread_index() % 32 == 0) store_shared(thread_index() / 32 * 8, best);
    block_barrier();
    for (u32 warp = 0; warp < WARPS; warp++) best = larger(best, load_shared<u64>(warp * 8));
    previous = best;
    if (thread_index() == 0) {
      u32 column = 0xffffffffu - static_cast<u32>(best);
      u64 target = u64{block_index()} * arguments.count + place;
      store_global(reinterpret_cast<u32*>(arguments.indices) + target, column);
      store_global(reinterpret_cast<float*>(arguments.output) + target, load_global<float>(row + column));
    }
  }
}
