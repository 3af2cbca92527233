// Allocations, copies and fills.
#include <sys/mman.h>

#include <cstring>

#include "driver.h"

namespace emulator {

namespace {

constexpr size_t hostPage = 4096;
// The driver keeps copies from pageable memory of at most this size in buffers of its own.
constexpr size_t largestStaged = 64 * 1024;

std::string text(uint64_t number) { return std::to_string(number); }

Failure outside(const char* what, uint64_t address, size_t bytes) {
  return {illegalAddress, std::string(what) + " " + text(bytes) + " bytes: " +
                              deviceMemory().nearest(address)};
}

// A side of a copy: device memory, or host memory.
struct Place {
  uint64_t address;
  bool device;
};

bool isDevice(uint64_t address) { return deviceMemory().contains(address); }

Failure copyBytes(Place to, Place from, size_t bytes) {
  DeviceMemory& memory = deviceMemory();
  if (from.device && !memory.usable(from.address, bytes)) {
    return outside("reads", from.address, bytes);
  }
  if (to.device && !memory.usable(to.address, bytes)) return outside("writes", to.address, bytes);
  memmove(reinterpret_cast<void*>(to.address), reinterpret_cast<const void*>(from.address), bytes);
  return {};
}

int checkAtCall(const Call& call, Place place, size_t bytes, const char* what) {
  // Memory that its stream has yet to allocate is checked when the copy runs.
  if (!place.device || deviceMemory().holding(place.address, bytes)) return success;
  return call.refuse(invalidValue, outside(what, place.address, bytes).message);
}

int copyAsync(const Call& call, void* handle, Place to, Place from, size_t bytes) {
  Context* context;
  Stream* stream;
  if (int error = call.stream(handle, &context, &stream)) return error;
  if (bytes == 0) return success;
  if (int error = checkAtCall(call, from, bytes, "reads")) return error;
  if (int error = checkAtCall(call, to, bytes, "writes")) return error;
  auto* fromHost = reinterpret_cast<const unsigned char*>(from.address);
  auto* toHost = reinterpret_cast<const unsigned char*>(to.address);
  bool pageableSource = !from.device && !isPinned(context, fromHost, bytes);
  bool pageableTarget = !to.device && !isPinned(context, toHost, bytes);
  if (stream->capture || (!pageableSource && !pageableTarget)) {
    return enqueue(call, stream, {call.name(), [=] { return copyBytes(to, from, bytes); }});
  }
  // Pageable memory is read before the call returns, and written before it returns.
  if (pageableSource && bytes <= largestStaged) {
    auto staged = std::make_shared<std::vector<unsigned char>>(fromHost, fromHost + bytes);
    return enqueue(call, stream, {call.name(), [=] {
                     return copyBytes(to, {reinterpret_cast<uint64_t>(staged->data()), false},
                                      bytes);
                   }});
  }
  if (int error =
          enqueue(call, stream, {call.name(), [=] { return copyBytes(to, from, bytes); }})) {
    return error;
  }
  return synchronizeStream(stream);
}

int copyBlocking(const Call& call, Place to, Place from, size_t bytes) {
  Context* context;
  Stream* stream;
  if (int error = call.stream(nullptr, &context, &stream)) return error;
  if (bytes == 0) return success;
  if (int error = checkAtCall(call, from, bytes, "reads")) return error;
  if (int error = checkAtCall(call, to, bytes, "writes")) return error;
  auto run = [=] { return copyBytes(to, from, bytes); };
  if (int error = enqueue(call, stream, {call.name(), run})) return error;
  return synchronizeStream(stream);
}

template <class T>
int fillAsync(const Call& call, void* handle, uint64_t address, T value, size_t count) {
  Context* context;
  Stream* stream;
  if (int error = call.stream(handle, &context, &stream)) return error;
  if (count == 0) return success;
  if (address % sizeof(T)) return call.refuse(invalidValue, "the address is not aligned");
  if (int error = checkAtCall(call, {address, true}, count * sizeof(T), "fills")) return error;
  return enqueue(call, stream, {call.name(), [=]() -> Failure {
                   size_t bytes = count * sizeof(T);
                   if (!deviceMemory().usable(address, bytes)) {
                     return outside("fills", address, bytes);
                   }
                   auto* numbers = reinterpret_cast<T*>(address);
                   for (size_t i = 0; i < count; ++i) numbers[i] = value;
                   return {};
                 }});
}

int allocate(const Call& call, Context* context, uint64_t* address, size_t bytes,
             Allocation** made) {
  if (bytes == 0) return call.refuse(invalidValue, "0 bytes");
  *made = deviceMemory().reserve(bytes, context);
  if (*made == nullptr) return outOfMemory;
  *address = (*made)->address;
  return success;
}

Failure releaseMemory(Allocation* allocation) {
  size_t bytes = allocation->bytes;
  if (deviceMemory().release(allocation)) return {};
  return {illegalAddress, "bytes around memory of " + text(bytes) + " bytes were overwritten"};
}

}  // namespace

void freeHostPages(uint64_t address, size_t bytes) {
  size_t pages = (bytes + hostPage - 1) / hostPage * hostPage;
  munmap(reinterpret_cast<void*>(address / hostPage * hostPage), pages + hostPage);
}

}  // namespace emulator

using namespace emulator;

DRIVER_CALL cuMemGetInfo_v2(size_t* free, size_t* total) {
  Call call("cuMemGetInfo");
  Context* context;
  if (int error = call.context(&context)) return error;
  if (free) *free = deviceMemory().freeBytes();
  if (total) *total = deviceMemory().totalBytes();
  return success;
}

DRIVER_CALL cuMemAlloc_v2(uint64_t* address, size_t bytes) {
  Call call("cuMemAlloc");
  Context* context;
  if (int error = call.context(&context)) return error;
  if (int error = call.outsideCapture(context)) return error;
  Allocation* made;
  if (int error = allocate(call, context, address, bytes, &made)) return error;
  if (deviceMemory().open(made)) return success;
  deviceMemory().closing(made);
  deviceMemory().release(made);
  return outOfMemory;
}

// Waits for everything, as the driver does.
DRIVER_CALL cuMemFree_v2(uint64_t address) {
  Call call("cuMemFree");
  Context* context;
  if (int error = call.context(&context)) return error;
  if (address == 0) return success;
  if (int error = call.outsideCapture(context)) return error;
  Allocation* allocation = deviceMemory().at(address);
  if (allocation == nullptr || allocation->closing) {
    return call.refuse(invalidValue, "no allocation begins there: " + deviceMemory().nearest(address));
  }
  if (int error = synchronize(context)) return error;
  deviceMemory().closing(allocation);
  context->failure = releaseMemory(allocation);
  if (!context->failure.error) return success;
  return call.refuse(context->failure.error, context->failure.message);
}

DRIVER_CALL cuMemAllocAsync(uint64_t* address, size_t bytes, void* handle) {
  Call call("cuMemAllocAsync");
  Context* context;
  Stream* stream;
  if (int error = call.stream(handle, &context, &stream)) return error;
  if (stream->capture) return call.refuse(notSupported, "allocations in a graph");
  Allocation* made;
  if (int error = allocate(call, context, address, bytes, &made)) return error;
  uint64_t begin = *address;
  return enqueue(call, stream, {call.name(), [begin]() -> Failure {
                   if (deviceMemory().open(deviceMemory().at(begin))) return {};
                   return {outOfMemory, "the host has no memory left"};
                 }});
}

DRIVER_CALL cuMemAllocFromPoolAsync(uint64_t* address, size_t bytes, void*, void* stream) {
  return cuMemAllocAsync(address, bytes, stream);
}

DRIVER_CALL cuMemFreeAsync(uint64_t address, void* handle) {
  Call call("cuMemFreeAsync");
  Context* context;
  Stream* stream;
  if (int error = call.stream(handle, &context, &stream)) return error;
  if (address == 0) return success;
  if (stream->capture) return call.refuse(notSupported, "allocations in a graph");
  Allocation* allocation = deviceMemory().at(address);
  if (allocation == nullptr || allocation->closing) {
    return call.refuse(invalidValue, "no allocation begins there: " + deviceMemory().nearest(address));
  }
  deviceMemory().closing(allocation);
  return enqueue(call, stream, {call.name(), [address] {
                   return releaseMemory(deviceMemory().at(address));
                 }});
}

DRIVER_CALL cuMemPoolTrimTo(void*, size_t) { return success; }
DRIVER_CALL cuMemPoolSetAttribute(void*, int, void*) { return success; }

DRIVER_CALL cuMemPoolGetAttribute(void*, int, void* value) {
  Call call("cuMemPoolGetAttribute");
  uint64_t bytes = deviceMemory().liveBytes();
  memcpy(value, &bytes, sizeof(bytes));
  return success;
}

DRIVER_CALL cuMemGetAddressRange_v2(uint64_t* base, size_t* bytes, uint64_t address) {
  Call call("cuMemGetAddressRange");
  Allocation* allocation = deviceMemory().holding(address, 1);
  if (!allocation) return call.refuse(notFound, deviceMemory().nearest(address));
  if (base) *base = allocation->address;
  if (bytes) *bytes = allocation->bytes;
  return success;
}

// Ends at the end of a page, with a page behind it that nobody can touch.
DRIVER_CALL cuMemHostAlloc(void** host, size_t bytes, unsigned) {
  Call call("cuMemHostAlloc");
  Context* context;
  if (int error = call.context(&context)) return error;
  if (bytes == 0) return call.refuse(invalidValue, "0 bytes");
  uint64_t& failIn = driver().settings.failHostAllocationIn;
  if (failIn > 0 && --failIn == 0) return outOfMemory;
  size_t pageBytes = (bytes + hostPage - 1) / hostPage * hostPage;
  void* pages = mmap(nullptr, pageBytes + hostPage, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) return outOfMemory;
  auto begin = reinterpret_cast<uint64_t>(pages);
  mprotect(reinterpret_cast<void*>(begin + pageBytes), hostPage, PROT_NONE);
  uint64_t address = begin + pageBytes - (bytes + 63) / 64 * 64;
  memset(pages, 0xff, pageBytes);
  context->hostMemory[address] = bytes;
  *host = reinterpret_cast<void*>(address);
  return success;
}

DRIVER_CALL cuMemAllocHost_v2(void** host, size_t bytes) { return cuMemHostAlloc(host, bytes, 0); }

DRIVER_CALL cuMemFreeHost(void* host) {
  Call call("cuMemFreeHost");
  Context* context;
  if (int error = call.context(&context)) return error;
  auto found = context->hostMemory.find(reinterpret_cast<uint64_t>(host));
  if (found == context->hostMemory.end()) {
    return call.refuse(invalidValue, "no pinned memory begins there");
  }
  int error = synchronize(context);
  freeHostPages(found->first, found->second);
  context->hostMemory.erase(found);
  return error;
}

DRIVER_CALL cuMemHostRegister_v2(void* host, size_t bytes, unsigned) {
  Call call("cuMemHostRegister");
  Context* context;
  if (int error = call.context(&context)) return error;
  if (bytes == 0) return call.refuse(invalidValue, "0 bytes");
  if (isPinned(context, host, 1)) return hostMemoryAlreadyRegistered;
  context->registered[reinterpret_cast<uint64_t>(host)] = bytes;
  return success;
}

DRIVER_CALL cuMemHostUnregister(void* host) {
  Call call("cuMemHostUnregister");
  Context* context;
  if (int error = call.context(&context)) return error;
  if (context->registered.erase(reinterpret_cast<uint64_t>(host)) == 0) {
    return call.refuse(hostMemoryNotRegistered, "no registered memory begins there");
  }
  return synchronize(context);
}

DRIVER_CALL cuMemHostGetDevicePointer_v2(uint64_t* address, void* host, unsigned) {
  Call call("cuMemHostGetDevicePointer");
  Context* context;
  if (int error = call.context(&context)) return error;
  if (!isPinned(context, host, 1)) return call.refuse(invalidValue, "not pinned memory");
  *address = reinterpret_cast<uint64_t>(host);
  return success;
}

DRIVER_CALL cuMemcpyHtoD_v2(uint64_t to, const void* from, size_t bytes) {
  return copyBlocking(Call("cuMemcpyHtoD"), {to, true}, {reinterpret_cast<uint64_t>(from), false},
                      bytes);
}
DRIVER_CALL cuMemcpyDtoH_v2(void* to, uint64_t from, size_t bytes) {
  return copyBlocking(Call("cuMemcpyDtoH"), {reinterpret_cast<uint64_t>(to), false}, {from, true},
                      bytes);
}
// The host does not wait for copies from device to device.
DRIVER_CALL cuMemcpyDtoD_v2(uint64_t to, uint64_t from, size_t bytes) {
  return copyAsync(Call("cuMemcpyDtoD"), nullptr, {to, true}, {from, true}, bytes);
}
DRIVER_CALL cuMemcpyHtoDAsync_v2(uint64_t to, const void* from, size_t bytes, void* stream) {
  return copyAsync(Call("cuMemcpyHtoDAsync"), stream, {to, true},
                   {reinterpret_cast<uint64_t>(from), false}, bytes);
}
DRIVER_CALL cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t bytes, void* stream) {
  return copyAsync(Call("cuMemcpyDtoHAsync"), stream, {reinterpret_cast<uint64_t>(to), false},
                   {from, true}, bytes);
}
DRIVER_CALL cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, void* stream) {
  return copyAsync(Call("cuMemcpyDtoDAsync"), stream, {to, true}, {from, true}, bytes);
}
DRIVER_CALL cuMemcpy(uint64_t to, uint64_t from, size_t bytes) {
  return copyBlocking(Call("cuMemcpy"), {to, isDevice(to)}, {from, isDevice(from)}, bytes);
}
DRIVER_CALL cuMemcpyAsync(uint64_t to, uint64_t from, size_t bytes, void* stream) {
  return copyAsync(Call("cuMemcpyAsync"), stream, {to, isDevice(to)}, {from, isDevice(from)}, bytes);
}

DRIVER_CALL cuMemsetD8_v2(uint64_t address, unsigned char value, size_t count) {
  return fillAsync<uint8_t>(Call("cuMemsetD8"), nullptr, address, value, count);
}
DRIVER_CALL cuMemsetD16_v2(uint64_t address, unsigned short value, size_t count) {
  return fillAsync<uint16_t>(Call("cuMemsetD16"), nullptr, address, value, count);
}
DRIVER_CALL cuMemsetD32_v2(uint64_t address, unsigned value, size_t count) {
  return fillAsync<uint32_t>(Call("cuMemsetD32"), nullptr, address, value, count);
}
DRIVER_CALL cuMemsetD8Async(uint64_t address, unsigned char value, size_t count, void* stream) {
  return fillAsync<uint8_t>(Call("cuMemsetD8Async"), stream, address, value, count);
}
DRIVER_CALL cuMemsetD16Async(uint64_t address, unsigned short value, size_t count, void* stream) {
  return fillAsync<uint16_t>(Call("cuMemsetD16Async"), stream, address, value, count);
}
DRIVER_CALL cuMemsetD32Async(uint64_t address, unsigned value, size_t count, void* stream) {
  return fillAsync<uint32_t>(Call("cuMemsetD32Async"), stream, address, value, count);
}
