// A host thread that runs blocks.
#pragma once

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>

#include <memory>
#include <vector>

#include "pool.h"

namespace emulator {

constexpr size_t pageBytes = 4096;
constexpr size_t stackBytes = 128 * 1024;
constexpr size_t sharedCapacity = 256 * 1024;

// What a signal told about the kernel that the worker ran.
struct Fault {
  int signal;
  int code;
  uintptr_t address;
};

class Worker {
 public:
  Worker();
  ~Worker();

  // Called once on the worker's own host thread.
  void begin();
  // Runs blocks of the job until none is left or one fails.
  void runBlocks(Job& job);

  bool isCaller() const { return began_ && pthread_equal(thread_, pthread_self()); }
  // In a signal handler: leaves the kernel, if one is running.
  void leaveKernel(const Fault& fault);
  // From another thread: ends the kernel that runs too long.
  void interrupt();

  // The bodies of Services and of fibers.
  void start(Thread* from, Thread* next);
  [[noreturn]] void fail(Thread* thread, int error, const char* what);
  void runThreads(Thread* thread);

 private:
  // A fiber's stack, with a guard page before it.
  struct Stack {
    explicit Stack(unsigned number);

    unsigned char* bottom;
    unsigned char* top;
#if !defined(EMULATOR_ASSEMBLY)
    ucontext_t context;
#endif
  };

  void prepare(const Launch& launch);
  void reserveStacks();
  void protectShared(size_t bytes);
  const unsigned char* strayByte() const;
  void runBlock(Job& job, uint64_t place);
  Failure outcome();
  std::string deadlock();
  std::string describe(const Thread* thread, const std::string& what) const;
  Failure describeFault() const;
  void* prepareStack(Stack* stack, Thread* thread);

  pthread_t thread_;
  bool began_ = false;
  volatile bool inKernel_ = false;
  sigjmp_buf leave_;
  Fault fault_;
  Failure failure_;
  const Launch* launch_ = nullptr;

  Block block_;
  std::vector<Warp> warps_;
  std::vector<Thread> threads_;
  std::vector<CopyQueue> queues_;
  std::unique_ptr<PendingCopy[]> copies_;
  unsigned finished_ = 0;
  void* mainStackPointer_ = nullptr;
  std::vector<std::unique_ptr<Stack>> stacks_;
  std::vector<Stack*> freeStacks_;
  Stack* starting_ = nullptr;
  unsigned char* sharedEnd_ = nullptr;
  size_t sharedOpen_ = 0;
};

}  // namespace emulator
