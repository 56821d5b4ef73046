// The primitives on the host: the same names and contracts as device_ptx.cuh, carried out and checked by the
// emulator.
#pragma once

#include <cmath>
#include <cstring>

#include "block.h"
#include "collectives.h"
#include "entry_points.h"

#define DEVICE inline
#define KERNEL(NAME, ARGUMENTS, THREADS)                                                              \
  static void NAME(const ARGUMENTS& arguments);                                                      \
  static const emulator::EntryPoint entry_point_##NAME(                                               \
      #NAME, [](const void* block) { NAME(*static_cast<const ARGUMENTS*>(block)); }, sizeof(ARGUMENTS), THREADS); \
  static void NAME(const ARGUMENTS& arguments)
#define UNROLL
#define NO_UNROLL

inline u32 thread_index() { return emulator::block->current; }
inline u32 block_index() { return emulator::block->index; }

inline void block_barrier() { emulator::block->barrier(); }
inline void warp_barrier() {
  emulator::block->collective("a warp barrier", emulator::FULL_WARP, nullptr, [](void**) {});
}

template <class T>
T load_shared(u32 address) {
  return emulator::block->shared.load<T>(address);
}
template <class T>
void store_shared(u32 address, T value) {
  emulator::block->shared.store<T>(address, value);
}
template <class T>
T load_global(const void* address) {
  T value;
  std::memcpy(&value, emulator::block->global.to_read(address, sizeof(T), alignof(T)), sizeof(T));
  return value;
}
template <class T>
void store_global(void* address, T value) {
  std::memcpy(emulator::block->global.to_write(address, sizeof(T), alignof(T)), &value, sizeof(T));
}

template <int BYTES>
void copy_async(u32 target, const void* source, bool valid) {
  static_assert(BYTES == 8 || BYTES == 16, "copies that the device has");
  emulator::block->copy_async(target, valid ? emulator::block->global.to_read(source, BYTES, BYTES) : nullptr, BYTES);
}
inline void commit_copies() { emulator::block->commit_copies(); }
template <int LEFT>
void wait_copies() {
  emulator::block->wait_copies(LEFT);
}

inline void load_matrices(u32 (&matrices)[4], u32 address) { emulator::load_matrices(matrices, address); }

template <Element E, int ROWS, int COLUMNS>
void multiply_tiles(float (&c)[ROWS][COLUMNS][4], const u32 (&a)[ROWS][4], const u32 (&b)[COLUMNS][2]) {
  emulator::multiply_tiles<E, ROWS, COLUMNS>(c, a, b);
}

inline float shuffle_xor(float value, u32 difference) { return emulator::shuffle_xor(value, difference); }
inline u32 shuffle_xor(u32 value, u32 difference) { return emulator::shuffle_xor(value, difference); }
inline u32 ballot(bool condition) { return emulator::ballot(condition); }

inline u32 multiply_high(u32 a, u32 b) { return static_cast<u32>(u64{a} * b >> 32); }
inline float fused_multiply_add(float a, float b, float c) { return std::fma(a, b, c); }
inline float quotient(float a, float b) { return b > 1e37f ? 0.0f : a / b; }
inline float exponential(float x) { return std::exp(x); }
inline u32 float_bits(float x) {
  u32 bits;
  std::memcpy(&bits, &x, 4);
  return bits;
}
inline float float_from_bits(u32 bits) {
  float x;
  std::memcpy(&x, &bits, 4);
  return x;
}

inline u32 pack_f16(float low, float high) {
  _Float16 halves[2] = {static_cast<_Float16>(low), static_cast<_Float16>(high)};
  u32 packed;
  std::memcpy(&packed, halves, 4);
  return packed;
}
inline F32x2 unpack_f16(u32 packed) {
  _Float16 halves[2];
  std::memcpy(halves, &packed, 4);
  return {static_cast<float>(halves[0]), static_cast<float>(halves[1])};
}
inline u32 pack_bf16(float low, float high) {
  auto round = [](float x) {
    u32 bits = float_bits(x);
    return x != x ? 0x7fffu : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  };
  return round(low) | round(high) << 16;
}
