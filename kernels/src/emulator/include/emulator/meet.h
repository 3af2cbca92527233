// How the threads of a block wait for each other, seen from a kernel.
#pragma once

#include "block.h"

namespace emulator {

// The running thread. A register of its own costs nothing to read; kernels are compiled without
// anything else using it, and switching saves it with the others.
#if defined(EMULATOR_ASSEMBLY)
register Thread* self asm("r15");
#else
inline thread_local Thread* self;
#endif

inline void begin(Thread* thread) {
#if defined(EMULATOR_ASSEMBLY)
  (void)thread;  // the runtime has set the register
#else
  self = thread;
#endif
}

[[noreturn]] inline void fail(int error, const char* what) {
  self->block->services->fail(self, error, what);
}

// Gives the turn to another thread, until somebody makes this one ready and its turn comes.
__attribute__((noinline)) inline void park(Thread* thread) {
  Block* block = thread->block;
  Thread* next = nextThread(thread);
  if (next == nullptr || next->stackPointer == nullptr) {
    block->services->start(thread, next);
  } else {
    block->running = next;
    bulkgenSwitch(&thread->stackPointer, next->stackPointer);
  }
#if !defined(EMULATOR_ASSEMBLY)
  self = thread;
#endif
}

// What a waiting lane waits for. Tensor-core instructions are aligned: the lanes must meet at the same
// one, not only at one of the kind.
inline uint64_t operationOf(const Thread& lane) {
  int line = lane.meeting >= Meeting::multiply ? lane.line : 0;
  return uint64_t(lane.mask) | uint64_t(lane.meeting) << 32 | uint64_t(line) << 40;
}

// Lanes of `mask` have come, and not all for the same thing.
__attribute__((noinline)) inline void refuseMixedLanes(Warp* warp, unsigned mask,
                                                       uint64_t operation) {
  for (unsigned rest = mask; rest; rest &= rest - 1) {
    Thread& lane = warp->lanes[lowestBit(rest)];
    if (operationOf(lane) != operation) {
      fail(errorLaunchFailed, "lanes of a warp meet at different operations or with different masks");
    }
  }
  if (warp->arrived == mask) warp->mixed = false;
}

// The running lane comes to an operation of the lanes in `mask`. True for the one that comes last: it
// does what all are to see and calls release. The others must call park.
inline bool arrive(Thread* thread, unsigned mask, Meeting meeting, int line) {
  Warp* warp = thread->warp;
  uint32_t bit = 1u << thread->lane;
  if ((mask & bit) == 0) fail(errorLaunchFailed, "a lane is not in the mask it gives");
  thread->meeting = meeting;
  thread->mask = mask;
  thread->line = line;
  uint64_t operation = operationOf(*thread);
  if (warp->arrived == 0) {
    warp->operation = operation;
  } else if (warp->operation != operation) {
    warp->mixed = true;
  }
  warp->arrived |= bit;
  unsigned expected = mask & warp->present;
  if ((warp->arrived & expected) != expected) {
    warp->ready &= ~bit;
    return false;
  }
  if (warp->mixed) refuseMixedLanes(warp, expected, operation);
  return true;
}

inline void release(Warp* warp, unsigned mask) {
  unsigned expected = mask & warp->present;
  warp->arrived &= ~expected;
  warp->ready |= expected;
}

inline void meet(Thread* thread, unsigned mask, Meeting meeting, int line) {
  if (arrive(thread, mask, meeting, line)) {
    release(thread->warp, mask);
  } else {
    park(thread);
  }
}

// The area of the next operation of the whole warp.
inline Exchange& nextExchange(Thread* thread) {
  thread->parity ^= 1;
  return thread->warp->exchange[thread->parity];
}

inline bool wholeWarp(Thread* thread, unsigned mask) {
  return (thread->warp->present & ~mask) == 0;
}

__attribute__((noinline)) inline void blockBarrier(int line, const char* file) {
  Thread* thread = self;
  Block* block = thread->block;
  thread->meeting = Meeting::blockBarrier;
  thread->line = line;
  thread->file = file;
  if (block->arrived == 0) {
    block->barrierLine = line;
    block->barrierFile = file;
  } else if (block->barrierLine != line || block->barrierFile != file) {
    fail(errorLaunchFailed, "threads of a block wait at different barriers");
  }
  if (++block->arrived == block->threads) {
    block->arrived = 0;
    block->readyWarps = block->allWarps;
    for (unsigned rest = block->allWarps; rest; rest &= rest - 1) {
      Warp& warp = block->warps[lowestBit(rest)];
      warp.ready = warp.present;
    }
    return;
  }
  thread->warp->ready &= ~(1u << thread->lane);
  park(thread);
}

}  // namespace emulator
