// The primitive layer: what a kernel may use beyond plain C++. On the device each primitive is an instruction
// or two (device_ptx.cuh); on the host the emulator carries it out (emulator/host/primitives.h). Kernels touch
// memory and other threads through these alone. No CUDA header is included anywhere.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

struct alignas(8) U32x2 {
  u32 x, y;
};
struct alignas(16) U32x4 {
  u32 x, y, z, w;
};
struct alignas(8) F32x2 {
  float x, y;
};
struct alignas(16) F32x4 {
  float x, y, z, w;
};

// Element types of tensors in memory; sums are always f32.
enum class Element { F16, BF16, F32 };

#if defined(__CUDACC__) || defined(__CUDACC_RTC__)
#include "device_ptx.cuh"
#else
#include "emulator/host/primitives.h"
#endif
