#include "worker.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

namespace emulator {

namespace {

constexpr size_t signalStackBytes = 64 * 1024;

thread_local Worker* caller = nullptr;

const Services services = {
    [](Thread* from, Thread* next) { caller->start(from, next); },
    [](Thread* thread, int error, const char* what) { caller->fail(thread, error, what); },
};

unsigned char* mapPages(size_t bytes, int protection) {
  void* pages =
      mmap(nullptr, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (pages == MAP_FAILED) {
    fprintf(stderr, "emulated device: no %zu bytes for a host thread\n", bytes);
    abort();
  }
  return static_cast<unsigned char*>(pages);
}

// The first byte that is not poison, or null.
const unsigned char* firstWritten(const unsigned char* begin, const unsigned char* end) {
  if (begin == end || (*begin == 0xff && memcmp(begin, begin + 1, size_t(end - begin) - 1) == 0)) {
    return nullptr;
  }
  while (*begin == 0xff) ++begin;
  return begin;
}

}  // namespace

Worker::Stack::Stack(unsigned number) {
  unsigned char* pages = mapPages(stackBytes + pageBytes, PROT_READ | PROT_WRITE);
  mprotect(pages, pageBytes, PROT_NONE);
  bottom = pages + pageBytes;
  // Stacks begin at different places in their pages, so that they do not all fall into the same few
  // sets of the caches.
  top = bottom + stackBytes - (number * 5 % 32) * 128;
}

#if defined(EMULATOR_ASSEMBLY)
// bulkgenFirstTurn: where a new fiber begins; bulkgenEnter(function, arguments, thread): calls with the
// thread in the register that kernels keep it in.
asm(R"(
  .text
  .p2align 4
  .type bulkgenFirstTurn,@function
bulkgenFirstTurn:
  movq %rbx, %rdi
  call bulkgenRunThreads
  ud2
  .type bulkgenEnter,@function
bulkgenEnter:
  pushq %r15
  movq %rdx, %r15
  movq %rdi, %rax
  movq %rsi, %rdi
  movq %rdx, %rsi
  call *%rax
  popq %r15
  ret
)");
extern "C" __attribute__((visibility("hidden"))) void bulkgenFirstTurn();
extern "C" __attribute__((visibility("hidden"))) void bulkgenEnter(
    void (*entry)(const void*, Thread*), const void* arguments, Thread* thread);
#endif

extern "C" __attribute__((visibility("hidden"), used)) void bulkgenRunThreads(Thread* thread) {
  caller->runThreads(thread);
}

Worker::Worker()
    : warps_(largestWarps),
      threads_(largestBlock),
      queues_(largestBlock),
      copies_(new PendingCopy[size_t(largestBlock) * copyCapacity]) {
  for (unsigned i = 0; i < largestBlock; ++i) {
    queues_[i] = CopyQueue{0, 0, 0, &copies_[size_t(i) * copyCapacity]};
    threads_[i].block = &block_;
    threads_[i].warp = &warps_[i / warpLanes];
    threads_[i].copies = &queues_[i];
    threads_[i].lane = i % warpLanes;
  }
  for (unsigned i = 0; i < largestWarps; ++i) {
    warps_[i].bit = 1u << i;
    warps_[i].lanes = &threads_[i * warpLanes];
  }
  block_.services = &services;
  block_.warps = warps_.data();
  // A guard page follows the last byte of shared memory; what lies before it is opened by size.
  unsigned char* pages = mapPages(sharedCapacity + pageBytes, PROT_NONE);
  sharedEnd_ = pages + sharedCapacity;
  protectShared(0);
}

Worker::~Worker() = default;

void Worker::begin() {
  caller = this;
  stack_t signalStack = {};
  signalStack.ss_sp = mapPages(signalStackBytes, PROT_READ | PROT_WRITE);
  signalStack.ss_size = signalStackBytes;
  sigaltstack(&signalStack, nullptr);
  // Everything else is for the process's other threads.
  sigset_t blocked;
  sigfillset(&blocked);
  for (int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP}) sigdelset(&blocked, signal);
  pthread_sigmask(SIG_SETMASK, &blocked, nullptr);
  thread_ = pthread_self();
  began_ = true;
}

void Worker::leaveKernel(const Fault& fault) {
  if (!inKernel_) return;
  inKernel_ = false;
  fault_ = fault;
  siglongjmp(leave_, 1);
}

void Worker::interrupt() {
  if (inKernel_) pthread_kill(thread_, SIGSEGV);
}

// Shared memory begins at a multiple of 128 bytes and ends at most 127 bytes before the guard page.
void Worker::protectShared(size_t bytes) {
  size_t rounded = (bytes + 127) / 128 * 128;
  size_t open = (rounded + pageBytes - 1) / pageBytes * pageBytes;
  mprotect(sharedEnd_ - sharedCapacity, sharedCapacity, PROT_NONE);
  if (open) {
    mprotect(sharedEnd_ - open, open, PROT_READ | PROT_WRITE);
    memset(sharedEnd_ - open, 0xff, open);
  }
  sharedOpen_ = open;
  block_.sharedBytes = bytes;
  block_.shared = sharedEnd_ - rounded;
}

// The byte written outside of shared memory but in its pages, or null.
const unsigned char* Worker::strayByte() const {
  const unsigned char* stray = firstWritten(sharedEnd_ - sharedOpen_, block_.shared);
  return stray ? stray : firstWritten(block_.shared + block_.sharedBytes, sharedEnd_);
}

void Worker::reserveStacks() {
  while (stacks_.size() < block_.threads) {
    stacks_.push_back(std::make_unique<Stack>(unsigned(stacks_.size())));
  }
  freeStacks_.clear();
  for (size_t i = stacks_.size(); i-- > 0;) freeStacks_.push_back(stacks_[i].get());
}

void Worker::prepare(const Launch& launch) {
  launch_ = &launch;
  block_.size = launch.block;
  block_.grid = launch.grid;
  block_.threads = launch.block.x * launch.block.y * launch.block.z;
  block_.allWarps = 0;
  for (unsigned i = 0; i < block_.threads; ++i) {
    threads_[i].index = {i % launch.block.x, i / launch.block.x % launch.block.y,
                         i / (launch.block.x * launch.block.y)};
  }
  for (unsigned i = 0; i * warpLanes < block_.threads; ++i) {
    unsigned lanes = block_.threads - i * warpLanes;
    warps_[i].present = lanes >= warpLanes ? fullMask : (1u << lanes) - 1;
    block_.allWarps |= warps_[i].bit;
  }
  if (launch.sharedBytes != block_.sharedBytes || strayByte()) protectShared(launch.sharedBytes);
  reserveStacks();
}

void Worker::runBlocks(Job& job) {
  prepare(*job.launch);
  if (sigsetjmp(leave_, 1) == 0) {
    for (;;) {
      uint64_t place = job.failed ? job.blocks : job.taken++;
      if (place >= job.blocks) break;
      runBlock(job, (job.firstBlock + place) % job.blocks);
      Failure failure = outcome();
      if (failure.error) job.fail(std::move(failure));
    }
  } else {
    job.fail(describeFault());
  }
}

void Worker::runBlock(Job& job, uint64_t place) {
  const dim3& grid = block_.grid;
  block_.index = {unsigned(place % grid.x), unsigned(place / grid.x % grid.y),
                  unsigned(place / (uint64_t(grid.x) * grid.y))};
  block_.backwards = job.backwards != (place % 2 == 1);
  block_.readyWarps = block_.allWarps;
  block_.arrived = 0;
  for (unsigned i = 0; i * warpLanes < block_.threads; ++i) {
    warps_[i].ready = warps_[i].present;
    warps_[i].arrived = 0;
    warps_[i].mixed = false;
  }
  for (unsigned i = 0; i < block_.threads; ++i) {
    Thread& thread = threads_[i];
    thread.stackPointer = nullptr;
    thread.parity = 0;
    thread.meeting = Meeting::none;
    thread.exited = false;
    CopyQueue& queue = queues_[i];
    queue.first = queue.last = queue.openGroup = 0;
  }
  memset(block_.shared, 0xff, block_.sharedBytes);
  finished_ = 0;
  failure_ = Failure();
  Thread* first = &threads_[block_.backwards ? block_.threads - 1 : 0];
  starting_ = freeStacks_.back();
  freeStacks_.pop_back();
  block_.running = first;
  inKernel_ = true;
  bulkgenSwitch(&mainStackPointer_, prepareStack(starting_, first));
  inKernel_ = false;
}

Failure Worker::outcome() {
  if (failure_.error) return failure_;
  if (finished_ != block_.threads) return {errorLaunchFailed, deadlock()};
  if (const unsigned char* byte = strayByte()) {
    return {errorIllegalAddress,
            describe(nullptr, "writes byte " + std::to_string(byte - block_.shared) +
                                  " of shared memory of " + std::to_string(block_.sharedBytes) +
                                  " bytes")};
  }
  return {};
}

void* Worker::prepareStack(Stack* stack, Thread* thread) {
#if defined(EMULATOR_ASSEMBLY)
  // As bulkgenSwitch leaves a fiber: r15, r14, r13, r12, rbx, rbp, then where to go on. The call there
  // finds the stack aligned to 16 bytes.
  void** place = reinterpret_cast<void**>(stack->top) - 9;
  memset(place, 0, 9 * sizeof(void*));
  place[4] = thread;
  place[6] = reinterpret_cast<void*>(bulkgenFirstTurn);
  return place;
#else
  getcontext(&stack->context);
  stack->context.uc_stack.ss_sp = stack->bottom;
  stack->context.uc_stack.ss_size = stackBytes;
  stack->context.uc_link = nullptr;
  makecontext(&stack->context, [] { caller->runThreads(caller->block_.running); }, 0);
  (void)thread;
  return &stack->context;
#endif
}

void Worker::start(Thread* from, Thread* next) {
  if (next == nullptr) {
    bulkgenSwitch(&from->stackPointer, mainStackPointer_);
    return;
  }
  starting_ = freeStacks_.back();
  freeStacks_.pop_back();
  block_.running = next;
  bulkgenSwitch(&from->stackPointer, prepareStack(starting_, next));
}

// A thread that ends hands its stack to the next that begins: threads that never wait for each other
// all run on one.
void Worker::runThreads(Thread* thread) {
  Stack* own = starting_;
  for (;;) {
    block_.running = thread;
#if defined(EMULATOR_ASSEMBLY)
    bulkgenEnter(launch_->descriptor->entry, launch_->arguments.data(), thread);
#else
    launch_->descriptor->entry(launch_->arguments.data(), thread);
#endif
    thread->exited = true;
    thread->warp->ready &= ~(1u << thread->lane);
    ++finished_;
    Thread* next = nextThread(thread);
    if (next != nullptr && next->stackPointer == nullptr) {
      thread = next;
      continue;
    }
    freeStacks_.push_back(own);
    void* left;
    if (next != nullptr) block_.running = next;
    bulkgenSwitch(&left, next != nullptr ? next->stackPointer : mainStackPointer_);
  }
}

void Worker::fail(Thread* thread, int error, const char* what) {
  failure_ = {error, describe(thread, what)};
  void* left;
  bulkgenSwitch(&left, mainStackPointer_);
  abort();
}

}  // namespace emulator
