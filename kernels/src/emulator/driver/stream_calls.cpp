// Streams and events.
#include <utility>

#include "driver.h"

namespace emulator {

namespace {

int makeStream(const Call& call, void** handle, unsigned flags, int priority) {
  Context* context;
  if (int error = call.context(&context)) return error;
  if (flags > 1) return call.refuse(invalidValue, "unknown flags");
  auto* stream = new Stream;
  stream->context = context;
  stream->blocking = flags == 0;
  stream->priority = priority;
  stream->id = driver().nextId++;
  context->streams.insert(stream);
  *handle = stream;
  return success;
}

int findEvent(const Call& call, void* handle, Context** context, std::shared_ptr<Event>* found) {
  if (int error = call.context(context)) return error;
  auto entry = (*context)->events.find(static_cast<Event*>(handle));
  if (entry == (*context)->events.end()) {
    return call.refuse(invalidHandle, "no such event in the current context");
  }
  *found = entry->second;
  return success;
}

// One operation gets on, so that a program that only asks does not wait for ever.
int query(Context* context, const std::function<bool()>& done) {
  if (done()) return success;
  bool hasGoneOn = false;
  int error = drain(context, [&] { return std::exchange(hasGoneOn, true); });
  return error ? error : done() ? int(success) : int(notReady);
}

}  // namespace

}  // namespace emulator

using namespace emulator;

DRIVER_CALL cuStreamCreate(void** handle, unsigned flags) {
  return makeStream(Call("cuStreamCreate"), handle, flags, 0);
}

DRIVER_CALL cuStreamCreateWithPriority(void** handle, unsigned flags, int priority) {
  return makeStream(Call("cuStreamCreateWithPriority"), handle, flags, priority);
}

DRIVER_CALL cuStreamDestroy_v2(void* handle) {
  Call call("cuStreamDestroy");
  Context* context;
  Stream* stream = nullptr;
  int error = call.stream(handle, &context, &stream);
  if (stream == nullptr) return error;
  if (stream == &context->legacy) return call.refuse(invalidHandle, "the default stream");
  if (stream->capture) return call.refuse(captureUnsupported, "the stream is being captured");
  if (!error) error = synchronizeStream(stream);
  context->streams.erase(stream);
  delete stream;
  return error;
}

DRIVER_CALL cuStreamSynchronize(void* handle) {
  Call call("cuStreamSynchronize");
  Context* context;
  Stream* stream;
  if (int error = call.stream(handle, &context, &stream)) return error;
  if (stream->capture) {
    stream->capture->invalid = true;
    return call.refuse(captureUnsupported, "the stream is being captured");
  }
  return synchronizeStream(stream);
}

DRIVER_CALL cuStreamQuery(void* handle) {
  Call call("cuStreamQuery");
  Context* context;
  Stream* stream;
  if (int error = call.stream(handle, &context, &stream)) return error;
  if (stream->capture) {
    stream->capture->invalid = true;
    return call.refuse(captureUnsupported, "the stream is being captured");
  }
  return query(context, [stream] { return stream->pending.empty(); });
}

DRIVER_CALL cuStreamGetPriority(void* handle, int* priority) {
  Call call("cuStreamGetPriority");
  Context* context;
  Stream* stream;
  if (int error = call.stream(handle, &context, &stream)) return error;
  *priority = stream->priority;
  return success;
}

DRIVER_CALL cuStreamGetFlags(void* handle, unsigned* flags) {
  Call call("cuStreamGetFlags");
  Context* context;
  Stream* stream;
  if (int error = call.stream(handle, &context, &stream)) return error;
  *flags = stream->blocking ? 0 : 1;
  return success;
}

DRIVER_CALL cuStreamGetId(void* handle, unsigned long long* id) {
  Call call("cuStreamGetId");
  Context* context;
  Stream* stream;
  if (int error = call.stream(handle, &context, &stream)) return error;
  *id = stream->id;
  return success;
}

DRIVER_CALL cuStreamGetCtx(void* handle, void** owner) {
  Call call("cuStreamGetCtx");
  Context* context;
  Stream* stream;
  if (int error = call.stream(handle, &context, &stream)) return error;
  *owner = context;
  return success;
}

DRIVER_CALL cuLaunchHostFunc(void* handle, void (*function)(void*), void* data) {
  Call call("cuLaunchHostFunc");
  Context* context;
  Stream* stream;
  if (int error = call.stream(handle, &context, &stream)) return error;
  return enqueue(call, stream, {call.name(), [=]() -> Failure {
                   function(data);
                   return {};
                 }});
}

DRIVER_CALL cuEventCreate(void** handle, unsigned flags) {
  Call call("cuEventCreate");
  Context* context;
  if (int error = call.context(&context)) return error;
  auto event = std::make_shared<Event>();
  event->context = context;
  event->timing = (flags & 2) == 0;
  *handle = event.get();
  context->events[event.get()] = event;
  return success;
}

DRIVER_CALL cuEventDestroy_v2(void* handle) {
  Call call("cuEventDestroy");
  Context* context;
  std::shared_ptr<Event> event;
  if (int error = findEvent(call, handle, &context, &event)) return error;
  context->events.erase(event.get());
  return success;
}

DRIVER_CALL cuEventRecord(void* handle, void* streamHandle) {
  Call call("cuEventRecord");
  Context* context;
  std::shared_ptr<Event> event;
  Stream* stream = nullptr;
  if (int error = findEvent(call, handle, &context, &event)) return error;
  if (int error = call.stream(streamHandle, &context, &stream)) return error;
  if (stream->capture) {
    // A captured record is only an edge of the graph.
    event->capture = stream->capture;
    event->captureAfter = stream->capture->last[stream];
    return success;
  }
  event->capture = nullptr;
  uint64_t number = ++event->recorded;
  return enqueue(call, stream, {call.name(), [event, number]() -> Failure {
                   event->completed = number;
                   event->time = std::chrono::steady_clock::now();
                   return {};
                 }});
}

DRIVER_CALL cuEventRecordWithFlags(void* event, void* stream, unsigned) {
  return cuEventRecord(event, stream);
}

DRIVER_CALL cuStreamWaitEvent(void* streamHandle, void* handle, unsigned) {
  Call call("cuStreamWaitEvent");
  Context* context;
  std::shared_ptr<Event> event;
  Stream* stream = nullptr;
  if (int error = findEvent(call, handle, &context, &event)) return error;
  if (int error = call.stream(streamHandle, &context, &stream)) return error;
  if (event->capture) {
    if (stream == &context->legacy) return call.refuse(captureImplicit, "the default stream");
    if (stream->capture && stream->capture != event->capture) {
      return call.refuse(captureMerge, "the event is of another capture");
    }
    if (!stream->capture && !stream->pending.empty()) {
      // Work before the capture stays outside it.
      if (int error = synchronizeStream(stream)) return error;
    }
    stream->capture = event->capture;
    auto& last = stream->capture->last[stream];
    last.insert(last.end(), event->captureAfter.begin(), event->captureAfter.end());
    return success;
  }
  if (stream->capture) {
    stream->capture->invalid = true;
    return call.refuse(captureIsolation, "a captured stream waits for an event outside the capture");
  }
  if (event->recorded == event->completed) return success;
  Operation wait{call.name(), nullptr};
  wait.wait = event;
  wait.waitFor = event->recorded;
  return enqueue(call, stream, std::move(wait));
}

DRIVER_CALL cuEventSynchronize(void* handle) {
  Call call("cuEventSynchronize");
  Context* context;
  std::shared_ptr<Event> event;
  if (int error = findEvent(call, handle, &context, &event)) return error;
  if (event->capture) return call.refuse(capturedEvent, "the event was recorded in a capture");
  return drain(context, [&] { return event->completed >= event->recorded; });
}

DRIVER_CALL cuEventQuery(void* handle) {
  Call call("cuEventQuery");
  Context* context;
  std::shared_ptr<Event> event;
  if (int error = findEvent(call, handle, &context, &event)) return error;
  if (event->capture) return call.refuse(capturedEvent, "the event was recorded in a capture");
  return query(context, [&] { return event->completed >= event->recorded; });
}

DRIVER_CALL cuEventElapsedTime(float* milliseconds, void* first, void* second) {
  Call call("cuEventElapsedTime");
  Context* context;
  std::shared_ptr<Event> begin;
  std::shared_ptr<Event> end;
  if (int error = findEvent(call, first, &context, &begin)) return error;
  if (int error = findEvent(call, second, &context, &end)) return error;
  for (auto& event : {begin, end}) {
    if (!event->timing || event->recorded == 0) {
      return call.refuse(invalidHandle, "an event without timing, or never recorded");
    }
    if (event->completed < event->recorded) return notReady;
  }
  *milliseconds = std::chrono::duration<float, std::milli>(end->time - begin->time).count();
  return success;
}
DRIVER_CALL cuEventElapsedTime_v2(float* milliseconds, void* first, void* second) {
  return cuEventElapsedTime(milliseconds, first, second);
}
