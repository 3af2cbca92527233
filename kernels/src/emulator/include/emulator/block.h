// A running block as kernels and the runtime both see it: threads are fibers of one host thread, which
// gives them turns. A thread runs until it must wait for others at a barrier or a warp operation; then
// the next ready lane of its warp runs, and when its whole warp waits, the next ready warp.
#pragma once

#include <cstddef>
#include <cstdint>

#include "vectors.h"

// Elsewhere, or with EMULATOR_PORTABLE, fibers switch by swapcontext: right, and some 20 times slower.
#if defined(__x86_64__) && !defined(EMULATOR_PORTABLE)
#define EMULATOR_ASSEMBLY
#endif

namespace emulator {

constexpr unsigned warpLanes = 32;
constexpr unsigned largestBlock = 1024;
constexpr unsigned largestWarps = largestBlock / warpLanes;
// Asynchronous copies a thread may have under way.
constexpr unsigned copyCapacity = 256;
constexpr unsigned fullMask = 0xffffffffu;

struct Block;
struct Warp;

// What a thread waits for, for finding lanes that meet at different operations.
enum class Meeting : uint8_t {
  none,
  blockBarrier,
  warpBarrier,
  vote,
  shuffle,
  multiply,
  loadMatrices,
  transposeMatrix,
};

// A copy from global to shared memory that has been asked for but not been made.
struct PendingCopy {
  unsigned char* to;
  const unsigned char* from;  // null: zeros
  unsigned group;
};

struct CopyQueue {
  unsigned first;  // of entries under way, counted without end
  unsigned last;
  unsigned openGroup;
  PendingCopy* entries;  // [copyCapacity], used as a ring
};

struct alignas(64) Thread {
  void* stackPointer;  // where it goes on; null before its first turn
  Block* block;
  Warp* warp;
  CopyQueue* copies;
  uint3 index;
  unsigned lane;
  unsigned parity;  // which half of the warp's double buffer its last meeting used
  unsigned mask;    // of the lanes it waits for
  const char* file;
  int line;
  Meeting meeting;
  bool exited;
};

// Where the lanes of a warp leave what others read. Lane l's numbers are [..][l], so that the matrix
// fragments of PTX lie in rows.
struct alignas(64) Exchange {
  uint64_t values[warpLanes];
  uint32_t a[4][warpLanes];
  uint32_t b[2][warpLanes];
  float d[2][2 * warpLanes];  // the numbers of one row side by side
};

struct alignas(64) Warp {
  uint32_t ready;     // lanes that can run
  uint32_t present;   // lanes that the block has
  uint32_t arrived;   // lanes that wait at a warp operation
  uint32_t bit;       // of this warp in Block::readyWarps
  uint64_t operation;  // what the first lane that arrived waits for
  bool mixed;         // a later lane waits for something else
  Thread* lanes;
  // Full-mask operations alternate between two areas: a lane can be one operation ahead of another
  // and not more, so one meeting an operation is enough.
  Exchange exchange[2];
  Exchange partial;  // of operations on part of the warp: two meetings each
};

// What kernels ask of the runtime.
struct Services {
  // Suspends `from` and starts `next`, which has not run yet; with null, nobody can run any more.
  void (*start)(Thread* from, Thread* next);
  // Ends the launch because of `thread`, with a driver error code.
  [[noreturn]] void (*fail)(Thread* thread, int error, const char* what);
};

struct Block {
  uint3 index;
  dim3 size;
  dim3 grid;
  unsigned char* shared;
  size_t sharedBytes;
  const Services* services;
  Thread* running;
  Warp* warps;
  uint32_t readyWarps;
  uint32_t allWarps;
  unsigned threads;
  unsigned arrived;  // threads at the block's barrier
  bool backwards;    // turns go from the last lane and warp to the first
  const char* barrierFile;
  int barrierLine;
};

// What KERNEL exports for each kernel, under the name symbolPrefix + name.
struct KernelDescriptor {
  uint32_t layout;  // layoutVersion of the header it was compiled with
  uint32_t argumentBytes;
  uint32_t threads;
  void (*entry)(const void* arguments, Thread* thread);
};

// Changes with every struct above, so that kernels of another build are refused.
constexpr uint32_t layoutVersion =
    sizeof(Thread) ^ sizeof(Warp) << 8 ^ sizeof(Block) << 20 ^ sizeof(CopyQueue) << 26;

// The driver's codes for what a kernel can do wrong.
constexpr int errorIllegalAddress = 700;
constexpr int errorMisalignedAddress = 716;
constexpr int errorLaunchFailed = 719;

inline unsigned lowestBit(uint32_t x) { return __builtin_ctz(x); }
inline unsigned highestBit(uint32_t x) { return 31 - __builtin_clz(x); }

// The next of `ready` (not 0) after `place`, going round.
inline unsigned nextTurn(uint32_t ready, unsigned place, bool backwards) {
  if (backwards) {
    uint32_t before = ready & ((1u << place) - 1);
    return highestBit(before ? before : ready);
  }
  uint32_t after = ready & (~1u << place);
  return lowestBit(after ? after : ready);
}

// Who runs after `thread`, which waits or has exited; null: nobody can.
inline Thread* nextThread(Thread* thread) {
  Block* block = thread->block;
  Warp* warp = thread->warp;
  unsigned lane = thread->lane;
  if (warp->ready == 0) {
    block->readyWarps &= ~warp->bit;
    if (block->readyWarps == 0) return nullptr;
    unsigned next = nextTurn(block->readyWarps, lowestBit(warp->bit), block->backwards);
    warp = &block->warps[next];
    lane = block->backwards ? 0 : warpLanes - 1;
  }
  return &warp->lanes[nextTurn(warp->ready, lane, block->backwards)];
}

}  // namespace emulator

// Saves the running fiber's place in *from and goes on at `to`. The target is reached by an indirect
// jump and not by a return: all fibers of a warp go on at the same place, so it is predicted.
#if defined(EMULATOR_ASSEMBLY)
asm(R"(
  .text
  .p2align 4
  .type bulkgenSwitch,@function
bulkgenSwitch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  popq %rcx
  jmp *%rcx
  .size bulkgenSwitch,.-bulkgenSwitch
)");
extern "C" __attribute__((visibility("hidden"))) void bulkgenSwitch(void** from, void* to);
#else
#include <ucontext.h>
inline void bulkgenSwitch(void** from, void* to) {
  ucontext_t here;
  *from = &here;
  swapcontext(&here, static_cast<ucontext_t*>(to));
}
#endif
