// What kernels may use beyond plain C++17: CUDA's own names where CUDA has them (threadIdx,
// __syncthreads, __shfl_xor_sync, atomicAdd, uint4 ...), and the wrappers below for what CUDA has
// only as inline assembly or as types of its own headers. nvcc compiles the branch here; the
// emulated device (src/emulator/include) gives every name the same meaning on a host compiler.
//
// Rules for kernels: one argument struct by value (arguments.h); shared memory only through
// sharedMemory(), sized at the launch; no static __shared__, no local arrays indexed by run-time
// values, no warp-divergent barriers, no floating-point atomics (P1).
#pragma once

#include <cstddef>
#include <cstdint>

#include "arguments.h"

#ifndef __CUDACC__
#include "device_host.h"
#else

#include <cuda_bf16.h>
#include <cuda_fp16.h>

// Defines the kernel `name`; its body sees the arguments as `a`.
#define KERNEL(name, Arguments, threads) \
  extern "C" __global__ void __launch_bounds__(threads) name(const __grid_constant__ Arguments a)

// The same, with registers few enough for `blocks` blocks a processor at once.
#define KERNEL_RESIDENT(name, Arguments, threads, blocks)                        \
  extern "C" __global__ void __launch_bounds__(threads, blocks)                  \
      name(const __grid_constant__ Arguments a)

#define DEVICE __device__ __forceinline__

// The block's dynamic shared memory, 128-byte aligned.
DEVICE unsigned char* sharedMemory() {
  extern __shared__ __align__(128) unsigned char shared[];
  return shared;
}

// ---- 16-bit numbers, kept as bits; conversions round to nearest even ----

DEVICE uint16_t halfFromFloat(float x) { return __half_as_ushort(__float2half_rn(x)); }
DEVICE float floatFromHalf(uint16_t x) { return __half2float(__ushort_as_half(x)); }
DEVICE uint16_t bfloatFromFloat(float x) { return __bfloat16_as_ushort(__float2bfloat16_rn(x)); }
DEVICE float floatFromBfloat(uint16_t x) { return __uint_as_float(uint32_t(x) << 16); }

DEVICE uint32_t bitsFromHalf2(__half2 x) { return *reinterpret_cast<uint32_t*>(&x); }
DEVICE __half2 half2FromBits(uint32_t x) { return *reinterpret_cast<__half2*>(&x); }
DEVICE uint32_t bitsFromBfloat2(__nv_bfloat162 x) { return *reinterpret_cast<uint32_t*>(&x); }
DEVICE __nv_bfloat162 bfloat2FromBits(uint32_t x) { return *reinterpret_cast<__nv_bfloat162*>(&x); }

// Two numbers in one register, the first in the low half.
DEVICE uint32_t half2FromFloats(float low, float high) {
  return bitsFromHalf2(__floats2half2_rn(low, high));
}
DEVICE uint32_t bfloat2FromFloats(float low, float high) {
  return bitsFromBfloat2(__floats2bfloat162_rn(low, high));
}
DEVICE uint32_t half2Subtract(uint32_t x, uint32_t y) {
  return bitsFromHalf2(__hsub2_rn(half2FromBits(x), half2FromBits(y)));
}
DEVICE uint32_t half2Fma(uint32_t x, uint32_t y, uint32_t z) {
  return bitsFromHalf2(__hfma2(half2FromBits(x), half2FromBits(y), half2FromBits(z)));
}
DEVICE uint32_t bfloat2Fma(uint32_t x, uint32_t y, uint32_t z) {
  return bitsFromBfloat2(__hfma2(bfloat2FromBits(x), bfloat2FromBits(y), bfloat2FromBits(z)));
}

// 2^x, within 2 ulp; 0 for -infinity.
DEVICE float exp2Approximate(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// ---- tensor cores (PTX ISA, "Warp-level matrix instructions"): whole warps only ----

// d[16][8] += a[16][16] · b[16][8], float accumulators. Lane l, g = l / 4, t = l % 4, two numbers a
// register: a[0]: row g, columns 2t, 2t+1; a[1]: row g+8; a[2]: row g, columns 2t+8, 2t+9; a[3]: row
// g+8, those; b[0]: rows 2t, 2t+1 of column g; b[1]: rows 2t+8, 2t+9; d[0], d[1]: row g, columns 2t,
// 2t+1; d[2], d[3]: row g+8.
DEVICE void multiplyHalf(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
DEVICE void multiplyBfloat(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Loads four 8x8 matrices of 16-bit numbers from shared memory: lane l gives the address of row l % 8
// of matrix l / 8 (16 bytes, 16-byte aligned) and gets, of matrix i, row l / 4, columns 2(l % 4) and
// the next in r[i].
DEVICE void loadMatrices(uint32_t (&r)[4], const void* row) {
  uint32_t address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}
// The same, each matrix transposed: lane l gets, of matrix i, column l / 4, rows 2(l % 4) and the next.
DEVICE void loadMatricesTransposed(uint32_t (&r)[4], const void* row) {
  uint32_t address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}
// Transposes an 8x8 matrix of 16-bit numbers that lies across the warp: lane l holds row l / 4,
// columns 2(l % 4) and the next, before and after.
DEVICE uint32_t transposeMatrix(uint32_t x) {
  uint32_t y;
  asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(y) : "r"(x));
  return y;
}

// ---- asynchronous copies from global to shared memory, 16 bytes, both sides 16-byte aligned ----

DEVICE void copyAsync16(void* shared, const void* global) {
  uint32_t address = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(address), "l"(global) : "memory");
}
// Copies where `valid`, else fills with zeros and does not read `global`.
DEVICE void copyAsync16(void* shared, const void* global, bool valid) {
  uint32_t address = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
  int bytes = valid ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(global), "r"(bytes)
               : "memory");
}
// Ends the group of this thread's copies since the last one.
DEVICE void commitCopies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits until at most `Pending` of this thread's groups are under way; a barrier must follow before
// other threads read.
template <int Pending>
DEVICE void waitForCopies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
}

// 16 bytes from global memory that nobody writes during the kernel, kept out of the first-level cache.
DEVICE uint4 loadStreaming16(const void* global) {
  uint4 v;
  asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(global));
  return v;
}

#endif  // __CUDACC__
