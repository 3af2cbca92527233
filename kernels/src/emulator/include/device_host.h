// The host compiler's side of device.cuh: kernels compiled with this header run on the emulated
// device. Everything here has the meaning that CUDA gives the name; what CUDA leaves undefined is
// refused or answered with NaN.
#pragma once

#include <math.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "emulator/atomics.h"
#include "emulator/block.h"
#include "emulator/meet.h"
#include "emulator/numbers.h"
#include "emulator/vectors.h"
#include "emulator/warp.h"

#define __device__
#define __host__
#define __constant__ const
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __align__(bytes) alignas(bytes)

#define DEVICE inline

#define threadIdx (emulator::self->index)
#define blockIdx (emulator::self->block->index)
#define blockDim (emulator::self->block->size)
#define gridDim (emulator::self->block->grid)
#define warpSize 32

// The body is an ordinary function; the runtime finds it by the descriptor.
#define KERNEL(name, Arguments, threads)                                                        \
  static void name##Body(const Arguments& __restrict a);                                        \
  static void name##Entry(const void* arguments, emulator::Thread* thread) {                    \
    emulator::begin(thread);                                                                    \
    name##Body(*static_cast<const Arguments*>(arguments));                                      \
  }                                                                                             \
  extern "C" __attribute__((visibility("default")))                                             \
  const emulator::KernelDescriptor bulkgenKernel_##name = {emulator::layoutVersion,             \
                                                           sizeof(Arguments), threads, name##Entry}; \
  static void name##Body(const Arguments& __restrict a)

#define KERNEL_RESIDENT(name, Arguments, threads, blocks) KERNEL(name, Arguments, threads)

inline unsigned char* sharedMemory() { return emulator::self->block->shared; }

template <class T>
inline T __ldg(const T* address) {
  return *address;
}
template <class T>
inline T __ldcs(const T* address) {
  return *address;
}
template <class T>
inline T __ldcg(const T* address) {
  return *address;
}
template <class T>
inline void __stcs(T* address, T value) {
  *address = value;
}
template <class T>
inline void __stcg(T* address, T value) {
  *address = value;
}
