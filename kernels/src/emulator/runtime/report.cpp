// What a worker says of a launch that went wrong.
#include <cstdio>

#include "../driver/memory.h"
#include "worker.h"

namespace emulator {

namespace {

const char* nameOf(Meeting meeting) {
  switch (meeting) {
    case Meeting::blockBarrier: return "__syncthreads";
    case Meeting::warpBarrier: return "__syncwarp";
    case Meeting::vote: return "a vote";
    case Meeting::shuffle: return "a shuffle";
    case Meeting::multiply: return "a matrix product";
    case Meeting::loadMatrices: return "a load of matrices";
    case Meeting::transposeMatrix: return "a transposition";
    default: return "nothing";
  }
}

}  // namespace

std::string Worker::describe(const Thread* thread, const std::string& what) const {
  char place[160];
  const uint3& block = block_.index;
  int length = snprintf(place, sizeof(place), ", block (%u, %u, %u)", block.x, block.y, block.z);
  if (thread != nullptr) {
    const uint3& index = thread->index;
    snprintf(place + length, sizeof(place) - size_t(length), ", thread (%u, %u, %u)", index.x,
             index.y, index.z);
  }
  return "kernel " + launch_->kernel + place + ": " + what;
}

std::string Worker::deadlock() {
  unsigned exited = 0;
  unsigned waiting = 0;
  std::string places;
  const Thread* last = nullptr;
  for (unsigned i = 0; i < block_.threads; ++i) {
    const Thread& thread = threads_[i];
    if (thread.exited) {
      ++exited;
      continue;
    }
    ++waiting;
    if (last == nullptr || last->meeting != thread.meeting || last->line != thread.line) {
      if (places.size() < 300) {
        places += (places.empty() ? "" : ", ") + std::string("thread ") + std::to_string(i) +
                  " and on at " + nameOf(thread.meeting) + " in line " +
                  std::to_string(thread.line);
      }
      last = &thread;
    }
  }
  return describe(nullptr, "deadlock: " + std::to_string(waiting) + " threads wait (" + places +
                               "), " + std::to_string(exited) + " have exited");
}

Failure Worker::describeFault() const {
  const Thread* thread = block_.running;
  char text[200];
  if (fault_.code <= 0) {
    return {702, describe(thread, "runs longer than the time limit")};
  }
  if (fault_.signal == SIGFPE) return {errorLaunchFailed, describe(thread, "divides by zero")};
  if (fault_.signal == SIGILL || fault_.signal == SIGTRAP || fault_.code == SI_KERNEL) {
    return {errorMisalignedAddress, describe(thread, "uses a misaligned address")};
  }
  for (const auto& stack : stacks_) {
    auto bottom = reinterpret_cast<uintptr_t>(stack->bottom);
    if (fault_.address < bottom && fault_.address >= bottom - pageBytes) {
      return {errorLaunchFailed, describe(thread, "overflows its stack")};
    }
  }
  auto end = reinterpret_cast<uintptr_t>(sharedEnd_);
  if (fault_.address >= end - sharedCapacity && fault_.address < end + pageBytes) {
    snprintf(text, sizeof(text), "uses byte %lld of shared memory of %zu bytes",
             static_cast<long long>(fault_.address) -
                 static_cast<long long>(reinterpret_cast<uintptr_t>(block_.shared)),
             block_.sharedBytes);
    return {errorIllegalAddress, describe(thread, text)};
  }
  snprintf(text, sizeof(text), "uses address 0x%llx: ",
           static_cast<unsigned long long>(fault_.address));
  return {errorIllegalAddress, describe(thread, text) + nearestAllocation(fault_.address)};
}

}  // namespace emulator
