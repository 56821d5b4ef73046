// The tile of a convolution that one block computes: its place in shared memory, the multiplication of one
// slab of depth, and the way of its sums to memory.
#pragma once

#include "divisor.cuh"
#include "epilogue.cuh"

// A slab is this much of the depth; its rows lie side by side, so that eight of them cover all banks four times.
constexpr int SLAB_BYTES = 64;
// Slabs in shared memory: one is multiplied while the others arrive.
constexpr int STAGES = 3;
// A warp computes WARP_ROWS pixels x 32 channels.
constexpr int WARP_COLUMNS = 32;
// Floats from one row of a staged result to the next: eight more than needed keep its rows on different banks.
constexpr int STAGING_STRIDE = WARP_COLUMNS + 8;

template <int ROWS_, int COLUMNS_, int WARP_ROWS_>
struct Tile {
  static constexpr int ROWS = ROWS_, COLUMNS = COLUMNS_, WARP_ROWS = WARP_ROWS_;
  static constexpr int THREADS = ROWS / WARP_ROWS * (COLUMNS / WARP_COLUMNS) * 32;
  static constexpr int STAGE_BYTES = (ROWS + COLUMNS) * SLAB_BYTES;
  static constexpr int PIPELINE_BYTES = STAGES * STAGE_BYTES;
  static constexpr int STAGING_BYTES = THREADS / 32 * 16 * STAGING_STRIDE * 4;
  static_assert(STAGING_BYTES <= PIPELINE_BYTES, "results are staged where the slabs were");
};
// The table on the Rust side names the same tiles.
using Tile128x128 = Tile<128, 128, 64>;
using Tile128x64 = Tile<128, 64, 32>;
using Tile128x32 = Tile<128, 32, 32>;
using Tile64x64 = Tile<64, 64, 32>;

// Sums of a warp, in the fragment layout of the matrix instruction: 16 x 8 values per step.
template <class T>
struct Accumulators {
  float values[T::WARP_ROWS / 16][WARP_COLUMNS / 8][4];
};

// Where a chunk of a slab's row lies. Chunks of 16 bytes change places within a row so that eight rows of
// one chunk fall on different banks; halves of a chunk stay together.
template <int CHUNK_BYTES>
DEVICE u32 swizzled(u32 row, u32 chunk) {
  u32 whole = chunk * CHUNK_BYTES / 16, rest = chunk * CHUNK_BYTES % 16;
  return row * SLAB_BYTES + ((whole ^ (row / 2 % 4)) * 16 + rest);
}

// First row and column of the current warp within the tile.
template <class T>
DEVICE u32 warp_row() {
  return thread_index() / 32 % (T::ROWS / T::WARP_ROWS) * T::WARP_ROWS;
}
template <class T>
DEVICE u32 warp_column() {
  return thread_index() / 32 / (T::ROWS / T::WARP_ROWS) * WARP_COLUMNS;
}

// Starts the copies of a slab of the weights of the tile's channels, zeros beyond the group's last.
template <class T>
DEVICE void copy_weights(const Conv2dArguments& arguments, u32 slab, u32 stage, u32 first_channel, u32 end_channel) {
  constexpr int CHUNKS = SLAB_BYTES / 16, ROWS_AT_ONCE = T::THREADS / CHUNKS;
  const u8* weights = reinterpret_cast<const u8*>(arguments.weights);
  u32 chunk = thread_index() % CHUNKS;
  UNROLL for (int pass = 0; pass < T::COLUMNS / ROWS_AT_ONCE; pass++) {
    u32 row = thread_index() / CHUNKS + pass * ROWS_AT_ONCE, channel = first_channel + row;
    bool exists = channel < end_channel;
    u64 offset = (u64{exists ? channel : 0} * arguments.slabs + slab) * SLAB_BYTES + chunk * 16;
    copy_async<16>(stage + swizzled<16>(row, chunk), weights + offset, exists);
  }
}

// Adds the product of one slab of pixels and weights to the sums of the current warp.
template <Element E, class T>
DEVICE void multiply_slab(Accumulators<T>& sums, u32 stage) {
  constexpr int STEPS = T::WARP_ROWS / 16, COLUMN_STEPS = WARP_COLUMNS / 8;
  u32 lane = thread_index() % 32, pixels = stage, weights = stage + T::ROWS * SLAB_BYTES;
  if constexpr (E == Element::F32) {
    // Each lane computes the values that the matrix instruction would give it, one product at a time.
    u32 row = warp_row<T>() + lane / 4, column = warp_column<T>() + lane % 4 * 2;
    UNROLL for (u32 chunk = 0; chunk < SLAB_BYTES / 16; chunk++) {
      F32x4 right[COLUMN_STEPS][2];
      UNROLL for (int j = 0; j < COLUMN_STEPS * 2; j++) {
        right[j / 2][j % 2] = load_shared<F32x4>(weights + swizzled<16>(column + j / 2 * 8 + j % 2, chunk));
      }
      UNROLL for (int i = 0; i < STEPS * 2; i++) {
        F32x4 left = load_shared<F32x4>(pixels + swizzled<16>(row + i * 8, chunk));
        UNROLL for (int j = 0; j < COLUMN_STEPS * 2; j++) {
          float& sum = sums.values[i / 2][j / 2][i % 2 * 2 + j % 2];
          const F32x4& factor = right[j / 2][j % 2];
          sum = fused_multiply_add(left.x, factor.x, sum);
          sum = fused_multiply_add(left.y, factor.y, sum);
          sum = fused_multiply_add(left.z, factor.z, sum);
          sum = fused_multiply_add(left.w, factor.w, sum);
        }
      }
    }
  } else {
    UNROLL for (u32 chunk = 0; chunk < SLAB_BYTES / 16; chunk += 2) {
      u32 left[STEPS][4], right[COLUMN_STEPS][2];
      UNROLL for (int i = 0; i < STEPS; i++) {
        load_matrices(left[i], pixels + swizzled<16>(warp_row<T>() + i * 16 + lane % 16, chunk + lane / 16));
      }
      UNROLL for (int j = 0; j < COLUMN_STEPS; j += 2) {
        u32 both[4];
        load_matrices(both, weights + swizzled<16>(warp_column<T>() + j * 8 + lane % 8 + lane / 16 * 8, chunk + lane / 8 % 2));
        right[j][0] = both[0];
        right[j][1] = both[1];
        right[j + 1][0] = both[2];
        right[j + 1][1] = both[3];
      }
      multiply_tiles<E>(sums.values, left, right);
    }
  }
}

// Takes the sums of the current warp through shared memory, 16 pixels at a time, so that a lane finishes and
// stores eight neighbouring channels.
template <Element E, class T>
DEVICE void store_tile(const Conv2dArguments& arguments, const Accumulators<T>& sums, u32 first_pixel, u32 first_channel,
                       u32 end_channel) {
  u32 lane = thread_index() % 32, staging = thread_index() / 32 * (16 * STAGING_STRIDE * 4);
  u32 channel = first_channel + warp_column<T>() + lane % 4 * 8;
  float bias[8] = {};
  if (channel < end_channel) load_channels<Element::F32>(bias, arguments.bias, channel);
  UNROLL for (int i = 0; i < T::WARP_ROWS / 16; i++) {
    UNROLL for (int j = 0; j < WARP_COLUMNS / 8; j++) {
      UNROLL for (int half = 0; half < 2; half++) {
        u32 place = (lane / 4 + half * 8) * STAGING_STRIDE + j * 8 + lane % 4 * 2;
        store_shared(staging + place * 4, F32x2{sums.values[i][j][half * 2], sums.values[i][j][half * 2 + 1]});
      }
    }
    warp_barrier();
    NO_UNROLL for (int half = 0; half < 2; half++) {
      u32 row = lane / 4 + half * 8, pixel = first_pixel + warp_row<T>() + i * 16 + row;
      u32 place = staging + (row * STAGING_STRIDE + lane % 4 * 8) * 4;
      F32x4 low = load_shared<F32x4>(place), high = load_shared<F32x4>(place + 16);
      float values[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
      if (pixel < arguments.pixels && channel < end_channel) {
        finish_channels<E>(arguments.epilogue, values, bias, arguments.output, u64{pixel} * arguments.out_channels + channel);
      }
    }
    warp_barrier();
  }
}
