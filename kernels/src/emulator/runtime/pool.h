// Runs launches: the blocks of a grid on all host threads, the threads of a block as fibers.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "emulator/block.h"

namespace emulator {

struct Failure {
  int error = 0;
  std::string message;
};

struct Launch {
  std::string kernel;
  const KernelDescriptor* descriptor;
  dim3 grid;
  dim3 block;
  size_t sharedBytes;
  std::vector<unsigned char> arguments;
};

// A launch under way.
struct Job {
  const Launch* launch;
  uint64_t blocks;
  uint64_t firstBlock;  // blocks run from here on, going round
  bool backwards;       // whether block 0 gives turns backwards; the next the other way, and so on
  std::atomic<uint64_t> taken{0};
  std::atomic<bool> failed{false};
  std::mutex lock;
  Failure failure;

  void fail(Failure reason);
};

class Worker;

class Pool {
 public:
  explicit Pool(unsigned workers);

  // Calls `work` on the pool's first host thread and waits for it. One caller at a time.
  void run(const std::function<void()>& work);

  // Runs all blocks; only inside `run`. `order` picks the order of blocks and turns; 0: the plain one.
  Failure launch(const Launch& launch, uint64_t order);

  void limitMilliseconds(int64_t limit) { limitMilliseconds_ = limit; }
  unsigned workers() const { return unsigned(workers_.size()); }

 private:
  void serve(unsigned index);
  void stopLateLaunch();

  std::vector<std::unique_ptr<Worker>> workers_;
  std::mutex lock_;
  std::condition_variable wake_;
  std::condition_variable done_;
  const std::function<void()>* work_ = nullptr;
  Job* job_ = nullptr;
  unsigned long jobNumber_ = 0;
  unsigned wanted_ = 0;  // workers that may still join the job
  unsigned busy_ = 0;    // workers in the job, without the first
  std::atomic<int64_t> startedMilliseconds_{0};  // of the running launch; 0: none
  int64_t limitMilliseconds_ = 300000;
};

}  // namespace emulator
