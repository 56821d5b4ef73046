// Eight neighbouring channels in memory, as floats: what a lane reads and writes of a tensor at a time.
#pragma once

#include "device.cuh"

constexpr int CHANNELS_AT_ONCE = 8;

template <Element E>
constexpr int BYTES_OF = E == Element::F32 ? 4 : 2;

template <Element E>
DEVICE u32 pack(float low, float high) {
  static_assert(E != Element::F32, "single precision is not packed");
  return E == Element::F16 ? pack_f16(low, high) : pack_bf16(low, high);
}

template <Element E>
DEVICE F32x2 unpack(u32 packed) {
  static_assert(E != Element::F32, "single precision is not packed");
  if constexpr (E == Element::F16) return unpack_f16(packed);
  return {float_from_bits(packed << 16), float_from_bits(packed & 0xffff0000u)};
}

// Reads the channels from `index` on of a tensor that the launch does not write.
template <Element E>
DEVICE void load_channels(float (&values)[8], u64 tensor, u64 index) {
  const u8* address = reinterpret_cast<const u8*>(tensor) + index * BYTES_OF<E>;
  if constexpr (E == Element::F32) {
    UNROLL for (int i = 0; i < 2; i++) {
      F32x4 four = load_global<F32x4>(address + 16 * i);
      values[4 * i] = four.x;
      values[4 * i + 1] = four.y;
      values[4 * i + 2] = four.z;
      values[4 * i + 3] = four.w;
    }
  } else {
    U32x4 words = load_global<U32x4>(address);
    u32 packed[4] = {words.x, words.y, words.z, words.w};
    UNROLL for (int i = 0; i < 4; i++) {
      F32x2 two = unpack<E>(packed[i]);
      values[2 * i] = two.x;
      values[2 * i + 1] = two.y;
    }
  }
}

template <Element E>
DEVICE void store_channels(u64 tensor, u64 index, const float (&values)[8]) {
  u8* address = reinterpret_cast<u8*>(tensor) + index * BYTES_OF<E>;
  if constexpr (E == Element::F32) {
    store_global(address, F32x4{values[0], values[1], values[2], values[3]});
    store_global(address + 16, F32x4{values[4], values[5], values[6], values[7]});
  } else {
    store_global(address, U32x4{pack<E>(values[0], values[1]), pack<E>(values[2], values[3]), pack<E>(values[4], values[5]),
                                pack<E>(values[6], values[7])});
  }
}
