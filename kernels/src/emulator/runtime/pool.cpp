#include "pool.h"

#include <signal.h>
#include <sys/ucontext.h>

#include <thread>

#include "worker.h"

namespace emulator {

namespace {

constexpr int faultSignals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
constexpr int signalCount = sizeof(faultSignals) / sizeof(faultSignals[0]);
struct sigaction previousActions[signalCount];

// Workers by host thread, for the handler: it must not touch thread-local storage on foreign threads,
// whose first use allocates. Pools are never destroyed.
std::atomic<Worker*> faultWorkers[256];

void passOn(int signal, siginfo_t* info, void* context) {
  for (int i = 0; i < signalCount; ++i) {
    if (faultSignals[i] != signal) continue;
    const struct sigaction& previous = previousActions[i];
    if (previous.sa_flags & SA_SIGINFO) {
      previous.sa_sigaction(signal, info, context);
    } else if (previous.sa_handler == SIG_DFL || previous.sa_handler == SIG_IGN) {
      // The instruction faults again, with the default action.
      sigaction(signal, &previous, nullptr);
    } else {
      previous.sa_handler(signal);
    }
  }
}

void onFault(int signal, siginfo_t* info, void* context) {
  for (auto& slot : faultWorkers) {
    Worker* worker = slot.load(std::memory_order_relaxed);
    if (worker == nullptr) break;
    if (!worker->isCaller()) continue;
    worker->leaveKernel({signal, info->si_code, reinterpret_cast<uintptr_t>(info->si_addr)});
    break;
  }
  passOn(signal, info, context);
}

// While kernels run, faults of workers are the kernels'; everything else goes to whoever had the
// signals before (a Java VM uses them itself).
class FaultHandlers {
 public:
  FaultHandlers() {
    struct sigaction action = {};
    action.sa_sigaction = onFault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    sigfillset(&action.sa_mask);
    for (int i = 0; i < signalCount; ++i) {
      struct sigaction found;
      sigaction(faultSignals[i], nullptr, &found);
      if (found.sa_sigaction != onFault) previousActions[i] = found;
      sigaction(faultSignals[i], &action, nullptr);
    }
  }
  ~FaultHandlers() {
    for (int i = 0; i < signalCount; ++i) sigaction(faultSignals[i], &previousActions[i], nullptr);
  }
};

int64_t nowMilliseconds() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
}

}  // namespace

void Job::fail(Failure reason) {
  std::lock_guard<std::mutex> guard(lock);
  if (!failed) failure = std::move(reason);
  failed = true;
}

Pool::Pool(unsigned workers) {
  for (unsigned i = 0; i < workers; ++i) workers_.push_back(std::make_unique<Worker>());
  size_t slot = 0;
  while (slot < 256 && faultWorkers[slot] != nullptr) ++slot;
  for (auto& worker : workers_) {
    if (slot < 256) faultWorkers[slot++] = worker.get();
  }
  for (unsigned i = 0; i < workers; ++i) {
    std::thread(&Pool::serve, this, i).detach();
  }
}

void Pool::run(const std::function<void()>& work) {
  FaultHandlers handlers;
  std::unique_lock<std::mutex> guard(lock_);
  work_ = &work;
  wake_.notify_all();
  while (!done_.wait_for(guard, std::chrono::seconds(1), [this] { return work_ == nullptr; })) {
    stopLateLaunch();
  }
}

void Pool::stopLateLaunch() {
  int64_t started = startedMilliseconds_;
  if (started == 0 || nowMilliseconds() - started < limitMilliseconds_) return;
  for (auto& worker : workers_) worker->interrupt();
}

void Pool::serve(unsigned index) {
  Worker& worker = *workers_[index];
  worker.begin();
  unsigned long seen = 0;
  std::unique_lock<std::mutex> guard(lock_);
  for (;;) {
    if (index == 0 && work_ != nullptr) {
      guard.unlock();
      (*work_)();
      guard.lock();
      work_ = nullptr;
      done_.notify_all();
    } else if (index != 0 && job_ != nullptr && wanted_ > 0 && seen != jobNumber_) {
      seen = jobNumber_;
      --wanted_;
      ++busy_;
      Job* job = job_;
      guard.unlock();
      worker.runBlocks(*job);
      guard.lock();
      if (--busy_ == 0) done_.notify_all();
    } else {
      wake_.wait(guard);
    }
  }
}

Failure Pool::launch(const Launch& launch, uint64_t order) {
  Job job;
  job.launch = &launch;
  job.blocks = uint64_t(launch.grid.x) * launch.grid.y * launch.grid.z;
  job.firstBlock = order / 2 % job.blocks;
  job.backwards = order & 1;
  startedMilliseconds_ = nowMilliseconds();
  uint64_t helpers = std::min<uint64_t>(job.blocks, workers_.size()) - 1;
  if (helpers > 0) {
    std::lock_guard<std::mutex> guard(lock_);
    job_ = &job;
    ++jobNumber_;
    wanted_ = unsigned(helpers);
    wake_.notify_all();
  }
  workers_[0]->runBlocks(job);
  if (helpers > 0) {
    std::unique_lock<std::mutex> guard(lock_);
    job_ = nullptr;
    wanted_ = 0;
    done_.wait(guard, [this] { return busy_ == 0; });
  }
  startedMilliseconds_ = 0;
  return job.failure;
}

}  // namespace emulator
