// Names and texts of errors, and the calls by which a test sets up the device (see README.md).
#include <cstring>

#include "driver.h"

namespace emulator {

namespace {

struct ErrorText {
  int code;
  const char* name;
  const char* text;
};

constexpr ErrorText errorTexts[] = {
    {0, "CUDA_SUCCESS", "no error"},
    {1, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {2, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {3, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {4, "CUDA_ERROR_DEINITIALIZED", "driver shutting down"},
    {100, "CUDA_ERROR_NO_DEVICE", "no device"},
    {101, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {200, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {201, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {209, "CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image for the device"},
    {215, "CUDA_ERROR_UNSUPPORTED_LIMIT", "limit is not supported"},
    {222, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "PTX was compiled with an unsupported toolchain"},
    {304, "CUDA_ERROR_OPERATING_SYSTEM", "operating system call failed"},
    {400, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {401, "CUDA_ERROR_ILLEGAL_STATE", "operation not possible in this state"},
    {500, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {600, "CUDA_ERROR_NOT_READY", "device not ready"},
    {700, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {701, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "too many resources requested for launch"},
    {702, "CUDA_ERROR_LAUNCH_TIMEOUT", "the launch timed out"},
    {709, "CUDA_ERROR_CONTEXT_IS_DESTROYED", "context is destroyed"},
    {712, "CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED", "host memory is registered already"},
    {713, "CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED", "host memory is not registered"},
    {715, "CUDA_ERROR_ILLEGAL_INSTRUCTION", "an illegal instruction was encountered"},
    {716, "CUDA_ERROR_MISALIGNED_ADDRESS", "misaligned address"},
    {719, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {720, "CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE", "too many blocks in cooperative launch"},
    {800, "CUDA_ERROR_NOT_PERMITTED", "operation not permitted"},
    {801, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    {900, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "operation not permitted when stream is capturing"},
    {901, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
     "operation failed due to a previous error during capture"},
    {902, "CUDA_ERROR_STREAM_CAPTURE_MERGE", "operation would merge two captures"},
    {903, "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED", "capture was not begun in this stream"},
    {904, "CUDA_ERROR_STREAM_CAPTURE_UNJOINED", "capturing stream has unjoined work"},
    {905, "CUDA_ERROR_STREAM_CAPTURE_ISOLATION",
     "dependency created on uncaptured work in another stream"},
    {906, "CUDA_ERROR_STREAM_CAPTURE_IMPLICIT",
     "operation would make the legacy stream depend on a capturing stream"},
    {907, "CUDA_ERROR_CAPTURED_EVENT",
     "operation not permitted on an event last recorded in a capturing stream"},
    {908, "CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD", "capture was begun by another thread"},
    {999, "CUDA_ERROR_UNKNOWN", "unknown error"},
};

const ErrorText* findText(int error) {
  for (auto& entry : errorTexts) {
    if (entry.code == error) return &entry;
  }
  return nullptr;
}

// cuGetErrorString of this gives the last line that the device printed.
constexpr int lastMessageCode = 0x1000;

// Private limits of cuCtxSetLimit and cuCtxGetLimit. Setting needs no context.
enum Control {
  controlMemoryBytes = 0x1000,
  controlFailAllocation,
  controlFailHostAllocation,
  controlFailLaunch,
  controlSeed,
  controlMultiprocessors,
  controlCapability,
  controlSharedBytes,
  controlWorkers,
  controlLaunchMilliseconds,
  controlQuiet,
  controlDevices,
  controlLiveAllocations = 0x1100,
  controlLiveBytes,
  controlLiveHostAllocations,
  controlLiveHandles,
  controlLaunches,
  controlLiveHostBytes,
};

int setControl(const Call& call, int control, size_t value) {
  Driver& device = driver();
  Settings& settings = device.settings;
  switch (control) {
    case controlMemoryBytes: deviceMemory().totalBytes(value); return success;
    case controlFailAllocation: deviceMemory().failAllocation(value); return success;
    case controlFailHostAllocation: settings.failHostAllocationIn = value; return success;
    case controlFailLaunch: settings.failLaunchIn = value; return success;
    case controlSeed:
      settings.seed = value;
      device.random.seed(value);
      return success;
    case controlMultiprocessors: settings.multiprocessors = int(value); return success;
    case controlCapability: settings.capability = int(value); return success;
    case controlSharedBytes:
      if (value > size_t(227) * 1024) return call.refuse(invalidValue, "at most 227 KiB");
      settings.sharedLimit = int(value);
      return success;
    case controlWorkers: device.workers = unsigned(std::min<size_t>(value, 256)); return success;
    case controlLaunchMilliseconds:
      device.readyPool().limitMilliseconds(int64_t(value));
      return success;
    case controlQuiet: settings.quiet = value != 0; return success;
    case controlDevices: settings.devices = int(std::min<size_t>(value, 64)); return success;
    default: return call.refuse(invalidValue, "unknown limit");
  }
}

int readControl(const Call& call, int control, size_t* value) {
  Driver& device = driver();
  size_t hostAllocations = 0;
  size_t hostBytes = 0;
  size_t handles = 0;
  for (Context* context : device.contexts) {
    hostAllocations += context->hostMemory.size() + context->registered.size();
    for (auto& pinned : context->hostMemory) hostBytes += pinned.second;
    handles += context->streams.size() + context->events.size() + context->modules.size() +
               context->graphs.size() + context->executables.size();
  }
  switch (control) {
    case controlMemoryBytes: *value = deviceMemory().totalBytes(); return success;
    case controlLiveAllocations: *value = deviceMemory().liveCount(); return success;
    case controlLiveBytes: *value = deviceMemory().liveBytes(); return success;
    case controlLiveHostAllocations: *value = hostAllocations; return success;
    case controlLiveHandles: *value = handles; return success;
    case controlLaunches: *value = device.launches; return success;
    case controlLiveHostBytes: *value = hostBytes; return success;
    default: return call.refuse(invalidValue, "unknown limit");
  }
}

}  // namespace

const char* nameOfError(int error) {
  const ErrorText* found = findText(error);
  return found ? found->name : "CUDA_ERROR_UNKNOWN";
}

}  // namespace emulator

using namespace emulator;

DRIVER_CALL cuGetErrorName(int error, const char** name) {
  const ErrorText* found = findText(error);
  *name = found ? found->name : nullptr;
  return found ? success : invalidValue;
}

DRIVER_CALL cuGetErrorString(int error, const char** text) {
  Call call("cuGetErrorString");
  const ErrorText* found = findText(error);
  *text = error == lastMessageCode ? driver().lastMessage.c_str() : found ? found->text : nullptr;
  return *text ? success : invalidValue;
}

DRIVER_CALL cuCtxSetLimit(int limit, size_t value) {
  Call call("cuCtxSetLimit");
  if (limit >= controlMemoryBytes) return setControl(call, limit, value);
  Context* context;
  return call.context(&context);
}

DRIVER_CALL cuCtxGetLimit(size_t* value, int limit) {
  Call call("cuCtxGetLimit");
  if (limit >= controlMemoryBytes) return readControl(call, limit, value);
  Context* context;
  *value = 0;
  return call.context(&context);
}

DRIVER_CALL bulkgen_emulator_live_allocations() { return int(deviceMemory().liveCount()); }
