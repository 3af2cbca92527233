// Capture of streams and graphs.
#include "driver.h"

namespace emulator {

namespace {

std::set<std::unique_ptr<Capture>>::iterator findCapture(Context* context, const Capture* capture) {
  auto entry = context->captures.begin();
  while (entry != context->captures.end() && entry->get() != capture) ++entry;
  return entry;
}

// Operations that no other of the graph follows must have come to the origin, by events.
bool joined(const Capture& capture) {
  std::set<int> open;
  const auto& operations = capture.graph->operations;
  for (size_t i = 0; i < operations.size(); ++i) {
    for (int before : operations[i].after) open.erase(before);
    open.insert(int(i));
  }
  auto last = capture.last.find(capture.origin);
  if (last != capture.last.end()) {
    for (int number : last->second) open.erase(number);
  }
  return open.empty();
}

template <class Set>
int findGraph(const Call& call, const Set& graphs, void* handle, Graph** found) {
  *found = static_cast<Graph*>(handle);
  return graphs.count(*found) ? int(success) : call.refuse(invalidHandle, "no such graph");
}

}  // namespace

}  // namespace emulator

using namespace emulator;

DRIVER_CALL cuStreamBeginCapture_v2(void* handle, int mode) {
  Call call("cuStreamBeginCapture");
  Context* context;
  Stream* stream;
  if (int error = call.stream(handle, &context, &stream)) return error;
  if (stream == &context->legacy) return call.refuse(captureUnsupported, "the default stream");
  if (stream->capture) return call.refuse(illegalState, "the stream is being captured already");
  auto capture = std::make_unique<Capture>();
  capture->origin = stream;
  capture->global = mode == 0;
  capture->last[stream] = {};
  stream->capture = capture.get();
  context->captures.insert(std::move(capture));
  return success;
}

DRIVER_CALL cuStreamBeginCapture(void* stream, int mode) {
  return cuStreamBeginCapture_v2(stream, mode);
}

DRIVER_CALL cuStreamEndCapture(void* handle, void** graph) {
  Call call("cuStreamEndCapture");
  Context* context;
  Stream* stream;
  if (graph) *graph = nullptr;
  if (int error = call.stream(handle, &context, &stream)) return error;
  Capture* capture = stream->capture;
  if (capture == nullptr || capture->origin != stream) {
    return call.refuse(captureUnmatched, "the stream did not begin a capture");
  }
  int error = success;
  if (capture->invalid) error = captureInvalidated;
  if (!error && !joined(*capture)) {
    error = call.refuse(captureUnjoined, "another stream's work does not come back to the stream");
  }
  for (auto& taking : capture->last) taking.first->capture = nullptr;
  for (auto& event : context->events) {
    if (event.first->capture == capture) event.first->capture = nullptr;
  }
  if (!error) {
    *graph = capture->graph.get();
    context->graphs.insert(capture->graph.release());
  }
  context->captures.erase(findCapture(context, capture));
  return error;
}

DRIVER_CALL cuStreamIsCapturing(void* handle, int* status) {
  Call call("cuStreamIsCapturing");
  Context* context;
  Stream* stream;
  if (int error = call.stream(handle, &context, &stream)) return error;
  *status = !stream->capture ? 0 : stream->capture->invalid ? 2 : 1;
  return success;
}

DRIVER_CALL cuThreadExchangeStreamCaptureMode(int* mode) {
  thread_local int current = 0;
  std::swap(*mode, current);
  return success;
}

DRIVER_CALL cuGraphInstantiateWithFlags(void** handle, void* graphHandle, unsigned long long) {
  Call call("cuGraphInstantiateWithFlags");
  Context* context;
  Graph* graph;
  if (int error = call.context(&context)) return error;
  if (int error = findGraph(call, context->graphs, graphHandle, &graph)) return error;
  // The driver keeps an executable's memory on the device, so a test can make it fail.
  Allocation* place = deviceMemory().reserve(16, context);
  if (place == nullptr) return outOfMemory;
  deviceMemory().closing(place);
  deviceMemory().release(place);
  auto* executable = new Graph(*graph);
  context->executables.insert(executable);
  *handle = executable;
  return success;
}

DRIVER_CALL cuGraphInstantiate_v2(void** handle, void* graph, void**, char*, size_t) {
  return cuGraphInstantiateWithFlags(handle, graph, 0);
}

DRIVER_CALL cuGraphInstantiate(void** handle, void* graph, void**, char*, size_t) {
  return cuGraphInstantiateWithFlags(handle, graph, 0);
}

DRIVER_CALL cuGraphUpload(void*, void*) { return success; }

DRIVER_CALL cuGraphLaunch(void* handle, void* streamHandle) {
  Call call("cuGraphLaunch");
  Context* context;
  Stream* stream;
  Graph* graph;
  if (int error = call.stream(streamHandle, &context, &stream)) return error;
  if (int error = findGraph(call, context->executables, handle, &graph)) return error;
  if (stream->capture) return call.refuse(captureUnsupported, "a graph in a graph");
  auto kept = std::make_shared<Graph>(*graph);
  return enqueue(call, stream, {call.name(), [kept] { return executeGraph(*kept); }});
}

DRIVER_CALL cuGraphExecDestroy(void* handle) {
  Call call("cuGraphExecDestroy");
  Context* context;
  Graph* graph;
  if (int error = call.context(&context)) return error;
  if (int error = findGraph(call, context->executables, handle, &graph)) return error;
  context->executables.erase(graph);
  delete graph;
  return success;
}

DRIVER_CALL cuGraphDestroy(void* handle) {
  Call call("cuGraphDestroy");
  Context* context;
  Graph* graph;
  if (int error = call.context(&context)) return error;
  if (int error = findGraph(call, context->graphs, handle, &graph)) return error;
  context->graphs.erase(graph);
  delete graph;
  return success;
}

DRIVER_CALL cuGraphGetNodes(void* handle, void**, size_t* count) {
  Call call("cuGraphGetNodes");
  Context* context;
  Graph* graph;
  if (int error = call.context(&context)) return error;
  if (int error = findGraph(call, context->graphs, handle, &graph)) return error;
  *count = graph->operations.size();
  return success;
}
