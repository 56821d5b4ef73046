// Each channel by itself: depthwise convolution, pooling, sums and products of two tensors. A thread computes eight
// neighbouring channels of one output pixel, in the order of the window's rows and columns.
#include "divisor.cuh"
#include "epilogue.cuh"

constexpr int THREADS = 256;

// What a thread computes: which chunk of channels of which output pixel.
struct Item {
  bool exists;
  u32 chunk;
  int top, left;  // of the window, may lie outside the image
  u64 image;      // first pixel of the image
  u64 result;     // index of the first value in the output
};

DEVICE Item find_item(const WindowArguments& arguments) {
  u32 number = block_index() * THREADS + thread_index();
  bool exists = number < arguments.items;
  if (!exists) number = 0;
  u32 pixel = divide(number, arguments.by_chunks), chunk = number - pixel * (arguments.channels / CHANNELS_AT_ONCE);
  u32 line = divide(pixel, arguments.by_out_width), image = divide(line, arguments.by_out_height);
  u32 column = pixel - line * arguments.out_width, row = line - image * arguments.out_height;
  return {exists,
          chunk,
          static_cast<int>(row * arguments.stride_rows) - static_cast<int>(arguments.pad_top),
          static_cast<int>(column * arguments.stride_columns) - static_cast<int>(arguments.pad_left),
          u64{image} * arguments.in_height * arguments.in_width,
          u64{pixel} * arguments.channels + chunk * CHANNELS_AT_ONCE};
}

// Calls `visit(values, tap)` for every tap of the window that lies in the image.
template <Element E, class Visit>
DEVICE void visit_window(const WindowArguments& arguments, const Item& item, Visit visit) {
  for (u32 filter_row = 0; filter_row < arguments.filter_height; filter_row++) {
    u32 row = item.top + filter_row * arguments.dilation_rows;
    if (row >= arguments.in_height) continue;
    for (u32 filter_column = 0; filter_column < arguments.filter_width; filter_column++) {
      u32 column = item.left + filter_column * arguments.dilation_columns;
      if (column >= arguments.in_width) continue;
      float values[8];
      u64 pixel = item.image + u64{row} * arguments.in_width + column;
      load_channels<E>(values, arguments.input, pixel * arguments.channels + item.chunk * CHANNELS_AT_ONCE);
      visit(values, filter_row * arguments.filter_width + filter_column);
    }
  }
}

template <Element E>
DEVICE void depthwise(const WindowArguments& arguments) {
  Item item = find_item(arguments);
  if (!item.exists) return;
  u32 channel = item.chunk * CHANNELS_AT_ONCE;
  float sums[8] = {}, bias[8];
  visit_window<E>(arguments, item, [&](const float(&values)[8], u32 tap) {
    float weights[8];
    load_channels<E>(weights, arguments.weights, u64{tap} * arguments.channels + channel);
    UNROLL for (int i = 0; i < 8; i++) sums[i] = fused_multiply_add(values[i], weights[i], sums[i]);
  });
  load_channels<Element::F32>(bias, arguments.bias, channel);
  finish_channels<E>(arguments.epilogue, sums, bias, arguments.output, item.result);
}

// The border never wins, and neither does NaN.
template <Element E>
DEVICE void max_pool(const WindowArguments& arguments) {
  Item item = find_item(arguments);
  if (!item.exists) return;
  float largest[8];
  UNROLL for (int i = 0; i < 8; i++) largest[i] = float_from_bits(0xff800000u);
  visit_window<E>(arguments, item, [&](const float(&values)[8], u32) {
    UNROLL for (int i = 0; i < 8; i++) largest[i] = values[i] > largest[i] ? values[i] : largest[i];
  });
  store_channels<E>(arguments.output, item.result, largest);
}

template <Element E>
DEVICE void average_pool(const WindowArguments& arguments) {
  Item item = find_item(arguments);
  if (!item.exists) return;
  float sums[8] = {};
  u32 count = 0;
  visit_window<E>(arguments, item, [&](const float(&values)[8], u32) {
    count++;
    UNROLL for (int i = 0; i < 8; i++) sums[i] += values[i];
  });
  if (arguments.count_border != 0) count = arguments.filter_height * arguments.filter_width;
  UNROLL for (int i = 0; i < 8; i++) sums[i] = sums[i] / static_cast<float>(count);
  store_channels<E>(arguments.output, item.result, sums);
}

// Pixels in order: the sum of a channel is one thread's.
template <Element E>
DEVICE void global_average_pool(const GlobalPoolArguments& arguments) {
  u32 number = block_index() * THREADS + thread_index();
  if (number >= arguments.items) return;
  u32 image = divide(number, arguments.by_chunks);
  u32 channel = (number - image * (arguments.channels / CHANNELS_AT_ONCE)) * CHANNELS_AT_ONCE;
  float sums[8] = {};
  for (u32 pixel = 0; pixel < arguments.pixels; pixel++) {
    float values[8];
    load_channels<E>(values, arguments.input, (u64{image} * arguments.pixels + pixel) * arguments.channels + channel);
    UNROLL for (int i = 0; i < 8; i++) sums[i] += values[i];
  }
  UNROLL for (int i = 0; i < 8; i++) sums[i] = sums[i] / static_cast<float>(arguments.pixels);
  store_channels<E>(arguments.output, u64{image} * arguments.channels + channel, sums);
}

// Two tensors value by value, then an activation.
template <Element E, class Function>
DEVICE void combine(const PairArguments& arguments, Function function) {
  u32 number = block_index() * THREADS + thread_index();
  if (number >= arguments.items) return;
  u32 pixel = divide(number, arguments.by_chunks), chunk = number - pixel * (arguments.channels / CHANNELS_AT_ONCE);
  u32 right_pixel = divide(pixel, arguments.by_repeats);
  float values[8], right[8];
  load_channels<E>(values, arguments.left, u64{number} * CHANNELS_AT_ONCE);
  load_channels<E>(right, arguments.right, u64{right_pixel} * arguments.channels + chunk * CHANNELS_AT_ONCE);
  UNROLL for (int i = 0; i < 8; i++) values[i] = function(values[i], right[i]);
  activate(arguments.epilogue, values);
  UNROLL for (int i = 0; i < 8; i++) values[i] = chunk * CHANNELS_AT_ONCE + i < arguments.meant_channels ? values[i] : 0.0f;
  store_channels<E>(arguments.output, u64{number} * CHANNELS_AT_ONCE, values);
}

template <Element E>
DEVICE void add(const PairArguments& arguments) {
  combine<E>(arguments, [](float left, float right) { return left + right; });
}

template <Element E>
DEVICE void multiply(const PairArguments& arguments) {
  combine<E>(arguments, [](float left, float right) { return left * right; });
}

#define WINDOW_KERNELS(TYPE, ELEMENT)                                                                        \
  KERNEL(TYPE##_depthwise, WindowArguments, THREADS) { depthwise<ELEMENT>(arguments); }                      \
  KERNEL(TYPE##_max_pool, WindowArguments, THREADS) { max_pool<ELEMENT>(arguments); }                        \
  KERNEL(TYPE##_average_pool, WindowArguments, THREADS) { average_pool<ELEMENT>(arguments); }                \
  KERNEL(TYPE##_global_average_pool, GlobalPoolArguments, THREADS) { global_average_pool<ELEMENT>(arguments); } \
  KERNEL(TYPE##_add, PairArguments, THREADS) { add<ELEMENT>(arguments); }                                    \
  KERNEL(TYPE##_multiply, PairArguments, THREADS) { multiply<ELEMENT>(arguments); }

WINDOW_KERNELS(f16, Element::F16)
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
WINDOW_KERNELS(bf16, Element::BF16)
#endif
WINDOW_KERNELS(f32, Element::F32)
