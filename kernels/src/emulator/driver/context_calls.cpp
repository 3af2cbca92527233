// Devices and contexts.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "driver.h"

namespace emulator {

namespace {

constexpr int driverVersion = 12060;

int deviceAttribute(int attribute, int* value) {
  const Settings& settings = driver().settings;
  static const std::map<int, int> fixed = {
      {1, 1024},          // threads a block
      {2, 1024},   {3, 1024},  {4, 64},  // and by direction
      {5, 2147483647},    {6, 65535}, {7, 65535},  // blocks of a grid by direction
      {8, 48 * 1024},     // shared memory a block without asking
      {9, 65536},         // constant memory
      {10, 32},           // lanes
      {12, 65536},        // registers a block
      {13, 1980000},      // clock in kHz
      {14, 512},          // texture alignment
      {15, 1},            // copies beside kernels
      {18, 0},            // integrated
      {19, 1},            // maps host memory
      {20, 0},            // compute mode
      {31, 1},            // concurrent kernels
      {32, 1},            // error correction
      {33, 1},     {34, 0},    {50, 0},  // place on the bus
      {36, 2619000},      // memory clock in kHz
      {37, 5120},         // bits of the memory bus
      {38, 50 << 20},     // second-level cache
      {39, 2048},         // threads a multiprocessor
      {40, 3},            // copy engines
      {41, 1},            // unified addresses
      {78, 1},            // stream priorities
      {82, 65536},        // registers a multiprocessor
      {99, 1},            // registers host memory
      {106, 32},          // blocks a multiprocessor
      {111, 1024},        // shared memory kept by the system in each block
      {115, 1},           // memory pools
  };
  switch (attribute) {
    case 16: *value = settings.multiprocessors; return success;
    case 75: *value = settings.capability / 10; return success;
    case 76: *value = settings.capability % 10; return success;
    case 81: *value = settings.sharedLimit + 1024; return success;
    case 97: *value = settings.sharedLimit; return success;
    default: break;
  }
  auto found = fixed.find(attribute);
  *value = found == fixed.end() ? 0 : found->second;
  return success;
}

Context* newContext(unsigned flags, int ordinal) {
  Driver& device = driver();
  auto* context = new Context;
  context->device = ordinal;
  context->flags = flags;
  context->id = device.nextId++;
  context->legacy.context = context;
  device.contexts.insert(context);
  return context;
}

int checkDevice(const Call& call, int ordinal) {
  if (int error = call.initialized()) return error;
  int devices = driver().settings.devices;
  return ordinal >= 0 && ordinal < devices
             ? success
             : call.refuse(invalidDevice, "there are devices 0 to " + std::to_string(devices - 1));
}

}  // namespace

// What a program still holds is named and taken away, as the driver does.
void destroyContext(Context* context) {
  if (!context->failure.error) synchronize(context);
  DeviceMemory& memory = deviceMemory();
  std::vector<Allocation*> left;
  size_t count = 0;
  size_t bytes = 0;
  for (auto& entry : memory.allocations()) {
    if (entry.second.context != context) continue;
    left.push_back(memory.at(entry.first));
    if (entry.second.closing) continue;
    ++count;
    bytes += entry.second.bytes;
  }
  if (count > 0 && !context->failure.error) {
    refuse(success, "context", "ends with " + std::to_string(count) + " allocations, " +
                                   std::to_string(bytes) + " bytes, still alive");
  }
  for (Allocation* allocation : left) {
    // After a failure some may wait for a stream that does nothing any more.
    if (!allocation->closing) memory.closing(allocation);
    memory.release(allocation);
  }
  for (Module* module : context->modules) closeModule(module);
  for (Stream* stream : context->streams) delete stream;
  for (Graph* graph : context->graphs) delete graph;
  for (Graph* graph : context->executables) delete graph;
  for (auto& block : context->hostMemory) freeHostPages(block.first, block.second);
  driver().contexts.erase(context);
  delete context;
}

}  // namespace emulator

using namespace emulator;

DRIVER_CALL cuInit(unsigned flags) {
  Call call("cuInit");
  if (flags != 0) return call.refuse(invalidValue, "flags must be 0");
  Driver& state = driver();
  if (!state.initialized) {
    // The one setting that is there before a program starts: processes of a cluster are told no other way.
    const char* devices = getenv("BULKGEN_EMULATOR_DEVICES");
    if (devices) state.settings.devices = atoi(devices);
  }
  state.initialized = true;
  return success;
}

DRIVER_CALL cuDriverGetVersion(int* version) {
  *version = driverVersion;
  return success;
}

DRIVER_CALL cuDeviceGet(int* device, int ordinal) {
  Call call("cuDeviceGet");
  if (int error = checkDevice(call, ordinal)) return error;
  *device = ordinal;
  return success;
}

DRIVER_CALL cuDeviceGetCount(int* count) {
  Call call("cuDeviceGetCount");
  if (int error = call.initialized()) return error;
  *count = driver().settings.devices;
  return success;
}

DRIVER_CALL cuDeviceGetName(char* name, int length, int device) {
  Call call("cuDeviceGetName");
  if (int error = checkDevice(call, device)) return error;
  std::string number = device == 0 ? "" : " " + std::to_string(device);
  snprintf(name, size_t(length), "Emulated device%s", number.c_str());
  return success;
}

DRIVER_CALL cuDeviceGetUuid(unsigned char* uuid, int device) {
  Call call("cuDeviceGetUuid");
  if (int error = checkDevice(call, device)) return error;
  memcpy(uuid, "emulated-device1", 16);
  uuid[15] = static_cast<unsigned char>('1' + device);
  return success;
}

DRIVER_CALL cuDeviceGetUuid_v2(unsigned char* uuid, int device) {
  return cuDeviceGetUuid(uuid, device);
}

DRIVER_CALL cuDeviceGetPCIBusId(char* text, int length, int device) {
  Call call("cuDeviceGetPCIBusId");
  if (int error = checkDevice(call, device)) return error;
  snprintf(text, size_t(length), "0000:%02x:00.0", unsigned(device + 1));
  return success;
}

DRIVER_CALL cuDeviceTotalMem_v2(size_t* bytes, int device) {
  Call call("cuDeviceTotalMem");
  if (int error = checkDevice(call, device)) return error;
  *bytes = deviceMemory().totalBytes();
  return success;
}

DRIVER_CALL cuDeviceGetAttribute(int* value, int attribute, int device) {
  Call call("cuDeviceGetAttribute");
  if (int error = checkDevice(call, device)) return error;
  return deviceAttribute(attribute, value);
}

DRIVER_CALL cuDeviceComputeCapability(int* major, int* minor, int device) {
  Call call("cuDeviceComputeCapability");
  if (int error = checkDevice(call, device)) return error;
  *major = driver().settings.capability / 10;
  *minor = driver().settings.capability % 10;
  return success;
}

DRIVER_CALL cuDeviceGetDefaultMemPool(void** pool, int device) {
  Call call("cuDeviceGetDefaultMemPool");
  if (int error = checkDevice(call, device)) return error;
  *pool = &deviceMemory();
  return success;
}

DRIVER_CALL cuDeviceGetMemPool(void** pool, int device) {
  return cuDeviceGetDefaultMemPool(pool, device);
}

DRIVER_CALL cuDeviceCanAccessPeer(int* can, int, int) {
  *can = 0;
  return success;
}

DRIVER_CALL cuDevicePrimaryCtxRetain(void** context, int device) {
  Call call("cuDevicePrimaryCtxRetain");
  if (int error = checkDevice(call, device)) return error;
  Primary& primary = driver().primaries[device];
  if (primary.context == nullptr) {
    primary.context = newContext(0, device);
    primary.context->primary = true;
  }
  ++primary.users;
  *context = primary.context;
  return success;
}

DRIVER_CALL cuDevicePrimaryCtxReset_v2(int device) {
  Call call("cuDevicePrimaryCtxReset");
  if (int error = checkDevice(call, device)) return error;
  Primary& primary = driver().primaries[device];
  if (primary.context) destroyContext(primary.context);
  primary = {};
  return success;
}

DRIVER_CALL cuDevicePrimaryCtxReset(int device) { return cuDevicePrimaryCtxReset_v2(device); }

DRIVER_CALL cuDevicePrimaryCtxRelease_v2(int device) {
  Call call("cuDevicePrimaryCtxRelease");
  if (int error = checkDevice(call, device)) return error;
  Primary& primary = driver().primaries[device];
  if (primary.users == 0) return call.refuse(invalidContext, "nobody retains it");
  return --primary.users == 0 ? cuDevicePrimaryCtxReset_v2(device) : int(success);
}

DRIVER_CALL cuDevicePrimaryCtxRelease(int device) { return cuDevicePrimaryCtxRelease_v2(device); }

DRIVER_CALL cuDevicePrimaryCtxSetFlags_v2(int device, unsigned) {
  Call call("cuDevicePrimaryCtxSetFlags");
  return checkDevice(call, device);
}

DRIVER_CALL cuDevicePrimaryCtxGetState(int device, unsigned* flags, int* active) {
  Call call("cuDevicePrimaryCtxGetState");
  if (int error = checkDevice(call, device)) return error;
  *flags = 0;
  *active = driver().primaries[device].context != nullptr;
  return success;
}

DRIVER_CALL cuCtxCreate_v2(void** context, unsigned flags, int device) {
  Call call("cuCtxCreate");
  if (int error = checkDevice(call, device)) return error;
  Context* created = newContext(flags, device);
  contextStack().push_back(created);
  *context = created;
  return success;
}

DRIVER_CALL cuCtxDestroy_v2(void* handle) {
  Call call("cuCtxDestroy");
  auto* context = static_cast<Context*>(handle);
  if (driver().contexts.count(context) == 0 || context->primary) {
    return call.refuse(invalidContext, "no such context made by cuCtxCreate");
  }
  auto& stack = contextStack();
  if (!stack.empty() && stack.back() == context) stack.pop_back();
  destroyContext(context);
  return success;
}

DRIVER_CALL cuCtxSetCurrent(void* handle) {
  Call call("cuCtxSetCurrent");
  if (int error = call.initialized()) return error;
  auto* context = static_cast<Context*>(handle);
  if (context && driver().contexts.count(context) == 0) {
    return call.refuse(invalidContext, "no such context");
  }
  auto& stack = contextStack();
  if (!stack.empty()) stack.pop_back();
  if (context) stack.push_back(context);
  return success;
}

DRIVER_CALL cuCtxPushCurrent_v2(void* handle) {
  Call call("cuCtxPushCurrent");
  auto* context = static_cast<Context*>(handle);
  if (driver().contexts.count(context) == 0) return call.refuse(invalidContext, "no such context");
  contextStack().push_back(context);
  return success;
}

DRIVER_CALL cuCtxPopCurrent_v2(void** handle) {
  Call call("cuCtxPopCurrent");
  auto& stack = contextStack();
  if (stack.empty()) return call.refuse(invalidContext, "no context is current");
  if (handle) *handle = stack.back();
  stack.pop_back();
  return success;
}

DRIVER_CALL cuCtxGetCurrent(void** handle) {
  Call call("cuCtxGetCurrent");
  if (int error = call.initialized()) return error;
  auto& stack = contextStack();
  *handle = stack.empty() ? nullptr : stack.back();
  return success;
}

DRIVER_CALL cuCtxGetDevice(int* device) {
  Call call("cuCtxGetDevice");
  Context* context;
  if (int error = call.context(&context)) return error;
  *device = context->device;
  return success;
}

DRIVER_CALL cuCtxGetFlags(unsigned* flags) {
  Call call("cuCtxGetFlags");
  Context* context;
  if (int error = call.context(&context)) return error;
  *flags = context->flags;
  return success;
}

DRIVER_CALL cuCtxGetApiVersion(void*, unsigned* version) {
  *version = driverVersion;
  return success;
}

DRIVER_CALL cuCtxGetStreamPriorityRange(int* least, int* greatest) {
  if (least) *least = 0;
  if (greatest) *greatest = -5;
  return success;
}

DRIVER_CALL cuCtxSynchronize() {
  Call call("cuCtxSynchronize");
  Context* context;
  if (int error = call.context(&context)) return error;
  if (int error = call.outsideCapture(context)) return error;
  return synchronize(context);
}
