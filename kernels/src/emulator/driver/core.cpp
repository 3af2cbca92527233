#include <cstdio>
#include <cstdlib>
#include <thread>

#include "driver.h"

namespace emulator {

Driver& driver() {
  static auto* instance = new Driver;
  return *instance;
}

std::vector<Context*>& contextStack() {
  thread_local std::vector<Context*> stack;
  return stack;
}

Pool& Driver::readyPool() {
  unsigned wanted = workers ? workers : std::max(1u, std::thread::hardware_concurrency());
  // Pools of other sizes stay, asleep: their threads are few and tests that change the number rare.
  static auto* pools = new std::map<unsigned, Pool*>;
  Pool*& sized = (*pools)[wanted];
  if (sized == nullptr) sized = new Pool(wanted);
  pool = sized;
  return *pool;
}

int refuse(int error, const char* call, const std::string& why) {
  driver().lastMessage = std::string(call) + ": " + why;
  if (!driver().settings.quiet) {
    fprintf(stderr, "emulated device: %s%s%s\n", driver().lastMessage.c_str(), error ? ": " : "",
            error ? nameOfError(error) : "");
  }
  return error;
}

int Call::initialized() const {
  return driver().initialized ? success : refuse(notInitialized, "cuInit was not called");
}

int Call::context(Context** found) const {
  if (int error = initialized()) return error;
  auto& stack = contextStack();
  if (stack.empty() || stack.back() == nullptr) {
    return refuse(invalidContext, "the calling thread has no current context");
  }
  if (driver().contexts.count(stack.back()) == 0) {
    return refuse(contextIsDestroyed, "the calling thread's context was destroyed");
  }
  *found = stack.back();
  return (*found)->failure.error;
}

int Call::stream(void* handle, Context** contextFound, Stream** found) const {
  if (int error = context(contextFound)) return error;
  // 1 and 2 are the handles of the legacy and the per-thread default stream.
  if (reinterpret_cast<uintptr_t>(handle) <= 2) {
    *found = &(*contextFound)->legacy;
    return success;
  }
  auto* stream = static_cast<Stream*>(handle);
  if ((*contextFound)->streams.count(stream) == 0) {
    return refuse(invalidHandle, "no such stream in the current context");
  }
  *found = stream;
  return success;
}

int Call::outsideCapture(Context* context) const {
  int error = success;
  for (auto& capture : context->captures) {
    if (!capture->global) continue;
    capture->invalid = true;
    error = refuse(captureUnsupported, "not while a stream is being captured");
  }
  return error;
}

int enqueue(const Call& call, Stream* stream, Operation operation) {
  operation.call = call.name();
  Context* context = stream->context;
  if (Capture* capture = stream->capture) {
    if (capture->invalid) return call.refuse(captureInvalidated, "the capture is invalid");
    auto& last = capture->last[stream];
    operation.after = last;
    last = {int(capture->graph->operations.size())};
    capture->graph->operations.push_back(std::move(operation));
    return success;
  }
  if (stream == &context->legacy) {
    for (Stream* other : context->streams) {
      if (other->blocking && other->capture) {
        other->capture->invalid = true;
        return call.refuse(captureImplicit, "the default stream would wait for a captured one");
      }
    }
  }
  operation.sequence = ++driver().sequence;
  stream->pending.push_back(std::move(operation));
  // A program that never waits still gets on, as on a card.
  constexpr size_t longQueue = 8192;
  if (stream->pending.size() > longQueue) return synchronizeStream(stream);
  return success;
}

namespace {

bool pendingBefore(const Stream& stream, uint64_t sequence) {
  return !stream.pending.empty() && stream.pending.front().sequence < sequence;
}

}  // namespace

bool readyToRun(const Stream* stream) {
  if (stream->pending.empty()) return false;
  const Operation& operation = stream->pending.front();
  if (operation.wait && operation.wait->completed < operation.waitFor) return false;
  Context* context = stream->context;
  if (stream != &context->legacy) {
    return !stream->blocking || !pendingBefore(context->legacy, operation.sequence);
  }
  for (const Stream* other : context->streams) {
    if (other->blocking && pendingBefore(*other, operation.sequence)) return false;
  }
  return true;
}

Failure executeOperation(const Operation& operation) {
  return operation.run ? operation.run() : Failure();
}

Failure executeGraph(const Graph& graph) {
  Driver& device = driver();
  size_t count = graph.operations.size();
  std::vector<int> missing(count);
  std::vector<std::vector<int>> followers(count);
  std::vector<int> ready;
  for (size_t i = 0; i < count; ++i) {
    missing[i] = int(graph.operations[i].after.size());
    for (int before : graph.operations[i].after) followers[size_t(before)].push_back(int(i));
    if (missing[i] == 0) ready.push_back(int(i));
  }
  while (!ready.empty()) {
    size_t pick = device.settings.seed && ready.size() > 1 ? device.random() % ready.size() : 0;
    int number = ready[pick];
    ready.erase(ready.begin() + long(pick));
    Failure failure = executeOperation(graph.operations[size_t(number)]);
    if (failure.error) return failure;
    for (int follower : followers[size_t(number)]) {
      if (--missing[size_t(follower)] == 0) ready.push_back(follower);
    }
  }
  return {};
}

Failure executeLaunch(const Launch& launch) {
  Driver& device = driver();
  ++device.launches;
  if (device.settings.failLaunchIn > 0 && --device.settings.failLaunchIn == 0) {
    return {launchFailed, "kernel " + launch.kernel + ": fails because a test asked for it"};
  }
  return device.pool->launch(launch, device.settings.seed ? device.random() >> 1 : 0);
}

// One operation of one stream; 0 operations where nothing may run.
int executeStep(Context* context) {
  Driver& device = driver();
  Stream* chosen = nullptr;
  unsigned candidates = 0;
  auto consider = [&](Stream* stream) {
    if (!readyToRun(stream)) return;
    ++candidates;
    bool better = device.settings.seed
                      ? device.random() % candidates == 0
                      : !chosen || stream->pending.front().sequence <
                                       chosen->pending.front().sequence;
    if (better) chosen = stream;
  };
  consider(&context->legacy);
  std::map<uint64_t, Stream*> ordered;
  for (Stream* stream : context->streams) ordered[stream->id] = stream;
  for (auto& entry : ordered) consider(entry.second);
  if (chosen == nullptr) return 0;
  Operation operation = std::move(chosen->pending.front());
  chosen->pending.pop_front();
  Failure failure = executeOperation(operation);
  if (failure.error && !context->failure.error) {
    context->failure = failure;
    refuse(failure.error, operation.call, failure.message);
  }
  return 1;
}

int drain(Context* context, const std::function<bool()>& done) {
  Driver& device = driver();
  if (context->failure.error) return context->failure.error;
  // Asked once for every step: `done` may count.
  bool isDone = done();
  if (!isDone) {
    device.readyPool().run([&] {
      while (!context->failure.error && !isDone && executeStep(context)) isDone = done();
    });
  }
  if (context->failure.error) {
    context->legacy.pending.clear();
    for (Stream* stream : context->streams) stream->pending.clear();
    return context->failure.error;
  }
  if (const Allocation* damaged = deviceMemory().damaged(context)) {
    context->failure = {illegalAddress,
                        "bytes around memory of " + std::to_string(damaged->bytes) +
                            " bytes were overwritten"};
    return refuse(illegalAddress, "synchronization", context->failure.message);
  }
  return success;
}

int synchronizeStream(Stream* stream) {
  return drain(stream->context, [stream] { return stream->pending.empty(); });
}

int synchronize(Context* context) {
  return drain(context, [context] {
    bool empty = context->legacy.pending.empty();
    for (Stream* stream : context->streams) empty = empty && stream->pending.empty();
    return empty;
  });
}

bool isPinned(const Context* context, const void* host, size_t bytes) {
  auto address = reinterpret_cast<uint64_t>(host);
  for (auto* memory : {&context->hostMemory, &context->registered}) {
    auto next = memory->upper_bound(address);
    if (next == memory->begin()) continue;
    auto& block = *std::prev(next);
    if (address + bytes <= block.first + block.second) return true;
  }
  return false;
}

}  // namespace emulator
