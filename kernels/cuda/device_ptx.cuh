// The primitives on the device. Instructions that an architecture lacks are replaced by what it has.
#pragma once

#define DEVICE __device__ __forceinline__
// An entry point that takes one argument block by value and is launched with exactly THREADS threads. Registers
// are kept few enough for two blocks on a multiprocessor, but where copies go through registers.
#if __CUDA_ARCH__ >= 800
#define BLOCKS_AT_ONCE 2
#else
#define BLOCKS_AT_ONCE 1
#endif
#define KERNEL(NAME, ARGUMENTS, THREADS) \
  extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_AT_ONCE) NAME(const __grid_constant__ ARGUMENTS arguments)
#define UNROLL _Pragma("unroll")
#define NO_UNROLL _Pragma("unroll 1")

// Shared memory of a block, addressed by offset from its start; its size is chosen by the launch.
extern __shared__ __align__(128) u8 shared_memory[];

DEVICE u32 thread_index() { return threadIdx.x; }
DEVICE u32 block_index() { return blockIdx.x; }

// Waits for all threads of the block, or of the warp; memory accesses before are seen by those after.
DEVICE void block_barrier() { __syncthreads(); }
DEVICE void warp_barrier() { __syncwarp(); }

template <class T>
DEVICE T load_shared(u32 address) {
  return *reinterpret_cast<const T*>(shared_memory + address);
}
template <class T>
DEVICE void store_shared(u32 address, T value) {
  *reinterpret_cast<T*>(shared_memory + address) = value;
}
// Memory that nobody writes during the launch.
template <class T>
DEVICE T load_global(const void* address) {
  return *static_cast<const T*>(address);
}
template <class T>
DEVICE void store_global(void* address, T value) {
  *static_cast<T*>(address) = value;
}

DEVICE u32 shared_window(u32 address) { return static_cast<u32>(__cvta_generic_to_shared(shared_memory)) + address; }

// Starts a copy of BYTES (8 or 16) to shared memory, of zeros if not `valid`; it arrives no later than
// wait_copies says.
template <int BYTES>
DEVICE void copy_async(u32 target, const void* source, bool valid) {
#if __CUDA_ARCH__ >= 800
  if constexpr (BYTES == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_window(target)), "l"(source), "r"(valid ? 16 : 0) : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;" ::"r"(shared_window(target)), "l"(source), "r"(valid ? 8 : 0) : "memory");
  }
#else
  if constexpr (BYTES == 16) {
    store_shared(target, valid ? load_global<U32x4>(source) : U32x4{0, 0, 0, 0});
  } else {
    store_shared(target, valid ? load_global<U32x2>(source) : U32x2{0, 0});
  }
#endif
}
// Closes a group of the copies started so far.
DEVICE void commit_copies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
// Waits for this thread's copies but those of the LEFT newest groups.
template <int LEFT>
DEVICE void wait_copies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory");
#endif
}

// Loads four 8x8 matrices of 16-bit values; lane l names row l % 8 of matrix l / 8 and receives two
// neighbours of row l / 4 of each.
DEVICE void load_matrices(u32 (&matrices)[4], u32 address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(matrices[0]), "=r"(matrices[1]), "=r"(matrices[2]), "=r"(matrices[3])
               : "r"(shared_window(address))
               : "memory");
}

template <Element E>
DEVICE void multiply_fragments(float (&c)[4], const u32 (&a)[4], const u32 (&b)[2]) {
  static_assert(E != Element::F32, "single precision has no matrix instruction here");
  if constexpr (E == Element::F16) {
#if __CUDA_ARCH__ >= 800
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    UNROLL for (int half = 0; half < 2; half++) {
      asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
          : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
          : "r"(a[2 * half]), "r"(a[2 * half + 1]), "r"(b[half]));
    }
#endif
  }
  if constexpr (E == Element::BF16) {
#if __CUDA_ARCH__ >= 800
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
  }
}
// c += a * b for tiles of 16 x 16 times 16 x 8 values, in the fragment layout of mma.m16n8k16.
template <Element E, int ROWS, int COLUMNS>
DEVICE void multiply_tiles(float (&c)[ROWS][COLUMNS][4], const u32 (&a)[ROWS][4], const u32 (&b)[COLUMNS][2]) {
  UNROLL for (int i = 0; i < ROWS; i++) {
    UNROLL for (int j = 0; j < COLUMNS; j++) multiply_fragments<E>(c[i][j], a[i], b[j]);
  }
}

// The value of the lane whose number differs in the bits of `difference`; all lanes take part.
DEVICE float shuffle_xor(float value, u32 difference) { return __shfl_xor_sync(0xffffffffu, value, difference); }
DEVICE u32 shuffle_xor(u32 value, u32 difference) { return __shfl_xor_sync(0xffffffffu, value, difference); }
// A bit per lane: whether its `condition` holds; all lanes take part.
DEVICE u32 ballot(bool condition) { return __ballot_sync(0xffffffffu, condition); }

// floor(a * b / 2^32)
DEVICE u32 multiply_high(u32 a, u32 b) { return __umulhi(a, b); }
DEVICE float fused_multiply_add(float a, float b, float c) { return __fmaf_rn(a, b, c); }
// a / b within two units in the last place, for b up to 2^126; a division to the last bit is a call with a stack.
DEVICE float quotient(float a, float b) { return b > 1e37f ? 0.0f : __fdividef(a, b); }
DEVICE float exponential(float x) { return expf(x); }
DEVICE u32 float_bits(float x) { return __float_as_uint(x); }
DEVICE float float_from_bits(u32 x) { return __uint_as_float(x); }

// Two values as one word, `low` first; rounded to the nearest, halves to even.
DEVICE u32 pack_f16(float low, float high) {
  u32 packed;
  asm("{.reg .b16 l, h; cvt.rn.f16.f32 l, %1; cvt.rn.f16.f32 h, %2; mov.b32 %0, {l, h};}" : "=r"(packed) : "f"(low), "f"(high));
  return packed;
}
DEVICE F32x2 unpack_f16(u32 packed) {
  F32x2 values;
  asm("{.reg .b16 l, h; mov.b32 {l, h}, %2; cvt.f32.f16 %0, l; cvt.f32.f16 %1, h;}" : "=f"(values.x), "=f"(values.y) : "r"(packed));
  return values;
}
DEVICE u32 pack_bf16(float low, float high) {
#if __CUDA_ARCH__ >= 800
  u32 packed;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  return packed;
#else
  auto round = [](float x) {
    u32 bits = __float_as_uint(x);
    return x != x ? 0x7fffu : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  };
  return round(low) | round(high) << 16;
#endif
}
