// Convolution as a matrix product that never builds its left matrix: rows are output pixels of all images,
// columns are output channels, the depth runs over (filter row, filter column, input channel). Every output
// value is summed by one thread group in the order of the depth, wherever its pixel lies in the batch.
//
// Tensors are NHWC with channels padded to a multiple of 8 (or exactly 4 for a narrow input); weights are
// [output channel][depth], padded with zeros to whole slabs. Groups are handled in bundles that are dense
// convolutions of their own.
#include "conv2d_tile.cuh"
#include "epilogue.cuh"

enum class Input {
  POINTWISE,  // 1 x 1 filter without border: no tap to find, no edge to test
  WINDOW,     // any filter
  NARROW,     // any filter over 4 stored channels, copied 8 bytes at a time
};

// One output pixel of the left matrix, as the thread that copies its row needs it.
struct PixelRow {
  int top, left;  // of the window, may lie outside the image
  u32 image;      // first row of the image among all rows
};

DEVICE PixelRow find_pixel(const Conv2dArguments& arguments, u32 pixel) {
  u32 line = divide(pixel, arguments.by_out_width), image = divide(line, arguments.by_out_height);
  u32 column = pixel - line * arguments.out_width, row = line - image * arguments.out_height;
  return {static_cast<int>(row * arguments.stride_rows) - static_cast<int>(arguments.pad_top),
          static_cast<int>(column * arguments.stride_columns) - static_cast<int>(arguments.pad_left), image * arguments.in_height};
}

template <Element E, Input INPUT, class T>
DEVICE void convolve(const Conv2dArguments& arguments) {
  constexpr int SLAB = SLAB_BYTES / BYTES_OF<E>;
  constexpr int CHUNK_BYTES = INPUT == Input::NARROW ? 8 : 16, CHUNK = CHUNK_BYTES / BYTES_OF<E>;
  constexpr int CHUNKS = SLAB_BYTES / CHUNK_BYTES, ROWS_AT_ONCE = T::THREADS / CHUNKS, PASSES = T::ROWS / ROWS_AT_ONCE;
  const u32 thread = thread_index();

  // Neighbouring blocks share their pixels and differ in their channels.
  u32 row_tile = divide(block_index(), arguments.by_column_tiles);
  u32 column_tile = block_index() - row_tile * arguments.column_tiles;
  u32 group = divide(column_tile, arguments.by_group_tiles);
  u32 first_pixel = row_tile * T::ROWS;
  u32 first_channel = group * arguments.group_outputs + (column_tile - group * arguments.group_tiles) * T::COLUMNS;
  u32 end_channel = (group + 1) * arguments.group_outputs;

  const u32 chunk = thread % CHUNKS, first_row = thread / CHUNKS;
  PixelRow rows[PASSES];
  bool exists[PASSES];
  UNROLL for (int pass = 0; pass < PASSES; pass++) {
    u32 pixel = first_pixel + first_row + pass * ROWS_AT_ONCE;
    exists[pass] = pixel < arguments.pixels;
    rows[pass] = find_pixel(arguments, exists[pass] ? pixel : 0);
  }
  const u8* input = reinterpret_cast<const u8*>(arguments.input) + u64{group} * arguments.group_inputs * BYTES_OF<E>;

  auto copy_slab = [&](u32 slab, u32 stage) {
    u32 depth = slab * SLAB + chunk * CHUNK, channel = depth;
    int down = 0, right = 0;
    if constexpr (INPUT != Input::POINTWISE) {
      u32 tap = divide(depth, arguments.by_group_inputs), filter_row = divide(tap, arguments.by_filter_width);
      channel = depth - tap * arguments.group_inputs;
      down = filter_row * arguments.dilation_rows;
      right = (tap - filter_row * arguments.filter_width) * arguments.dilation_columns;
    }
    UNROLL for (int pass = 0; pass < PASSES; pass++) {
      int row = rows[pass].top + down, column = rows[pass].left + right;
      bool inside = exists[pass] && depth < arguments.depth;
      if constexpr (INPUT != Input::POINTWISE) {
        inside = inside && static_cast<u32>(row) < arguments.in_height && static_cast<u32>(column) < arguments.in_width;
      }
      u64 pixel = u64{rows[pass].image + row} * arguments.in_width + column;
      const u8* source = input + (pixel * arguments.in_channels + channel) * BYTES_OF<E>;
      u32 target = stage + swizzled<CHUNK_BYTES>(first_row + pass * ROWS_AT_ONCE, chunk);
      copy_async<CHUNK_BYTES>(target, inside ? source : input, inside);
    }
    copy_weights<T>(arguments, slab, stage + T::ROWS * SLAB_BYTES, first_channel, end_channel);
    commit_copies();
  };

  UNROLL for (u32 slab = 0; slab < STAGES - 1; slab++) {
    if (slab < arguments.slabs) {
      copy_slab(slab, slab * T::STAGE_BYTES);
    } else {
      commit_copies();
    }
  }
  Accumulators<T> sums = {};
  u32 stage = 0, next_stage = (STAGES - 1) * T::STAGE_BYTES;
  NO_UNROLL for (u32 slab = 0; slab < arguments.slabs; slab++) {
    wait_copies<STAGES - 2>();
    // Also keeps the stage that is filled next from being read any more.
    block_barrier();
    if (slab + STAGES - 1 < arguments.slabs) {
      copy_slab(slab + STAGES - 1, next_stage);
    } else {
      commit_copies();
    }
    multiply_slab<E, T>(sums, stage);
    stage = stage + T::STAGE_BYTES == T::PIPELINE_BYTES ? 0 : stage + T::STAGE_BYTES;
    next_stage = next_stage + T::STAGE_BYTES == T::PIPELINE_BYTES ? 0 : next_stage + T::STAGE_BYTES;
  }
  wait_copies<0>();
  block_barrier();
  store_tile<E, T>(arguments, sums, first_pixel, first_channel, end_channel);
}

#define CONV2D(NAME, ELEMENT, INPUT, TILE) \
  KERNEL(NAME, Conv2dArguments, TILE::THREADS) { convolve<ELEMENT, INPUT, TILE>(arguments); }

#define CONV2D_TILES(TYPE, ELEMENT)                                                  \
  CONV2D(TYPE##_conv2d_pointwise_128x128, ELEMENT, Input::POINTWISE, Tile128x128)    \
  CONV2D(TYPE##_conv2d_pointwise_128x64, ELEMENT, Input::POINTWISE, Tile128x64)      \
  CONV2D(TYPE##_conv2d_pointwise_128x32, ELEMENT, Input::POINTWISE, Tile128x32)      \
  CONV2D(TYPE##_conv2d_pointwise_64x64, ELEMENT, Input::POINTWISE, Tile64x64)        \
  CONV2D(TYPE##_conv2d_128x128, ELEMENT, Input::WINDOW, Tile128x128)                 \
  CONV2D(TYPE##_conv2d_128x64, ELEMENT, Input::WINDOW, Tile128x64)                   \
  CONV2D(TYPE##_conv2d_128x32, ELEMENT, Input::WINDOW, Tile128x32)                   \
  CONV2D(TYPE##_conv2d_64x64, ELEMENT, Input::WINDOW, Tile64x64)                     \
  CONV2D(TYPE##_conv2d_narrow_128x64, ELEMENT, Input::NARROW, Tile128x64)            \
  CONV2D(TYPE##_conv2d_narrow_128x32, ELEMENT, Input::NARROW, Tile128x32)

CONV2D_TILES(f16, Element::F16)
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
CONV2D_TILES(bf16, Element::BF16)
#endif
// Single precision checks the others; four stored channels are one ordinary chunk of it.
CONV2D(f32_conv2d_64x64, Element::F32, Input::WINDOW, Tile64x64)
