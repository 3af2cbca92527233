// Modules, functions and launches. A module's image is a shared library, the kernels of one family.
#include <dlfcn.h>
#include <elf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "driver.h"

namespace emulator {

namespace {

constexpr size_t largestImage = size_t(256) << 20;
const std::string symbolPrefix = "bulkgenKernel_";

// The image's length, which nobody tells: its section headers stand at its end. 0: not an image.
size_t imageBytes(const void* image) {
  Elf64_Ehdr header;
  memcpy(&header, image, sizeof(header));
  if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return 0;
  size_t bytes = header.e_shoff + size_t(header.e_shnum) * header.e_shentsize;
  return header.e_shoff != 0 && bytes <= largestImage ? bytes : 0;
}

int loadImage(const Call& call, void** handle, const void* image) {
  Context* context;
  if (int error = call.context(&context)) return error;
  size_t bytes = imageBytes(image);
  if (bytes == 0) return call.refuse(invalidImage, "not a kernel library of the emulated device");
  int file = memfd_create("kernels", MFD_CLOEXEC);
  if (file < 0 || write(file, image, bytes) != ssize_t(bytes)) {
    if (file >= 0) close(file);
    return outOfMemory;
  }
  std::string path = "/proc/self/fd/" + std::to_string(file);
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    close(file);
    return call.refuse(invalidImage, dlerror());
  }
  // The file stays open with the library: a later one under the same number would count as this one.
  auto* module = new Module{context, library, file, {}};
  context->modules.insert(module);
  *handle = module;
  return success;
}

int findModule(const Call& call, void* handle, Context** context, Module** found) {
  if (int error = call.context(context)) return error;
  *found = static_cast<Module*>(handle);
  if ((*context)->modules.count(*found)) return success;
  return call.refuse(invalidHandle, "no such module in the current context");
}

int findFunction(const Call& call, void* handle, Context** context, Function** found) {
  if (int error = call.context(context)) return error;
  *found = static_cast<Function*>(handle);
  for (Module* module : (*context)->modules) {
    for (auto& entry : module->functions) {
      if (entry.second.get() == *found) return success;
    }
  }
  return call.refuse(invalidHandle, "no such function in the current context");
}

std::string number(uint64_t value) { return std::to_string(value); }

int checkShape(const Call& call, const Function& function, const Launch& launch) {
  uint64_t threads = uint64_t(launch.block.x) * launch.block.y * launch.block.z;
  uint64_t blocks = uint64_t(launch.grid.x) * launch.grid.y * launch.grid.z;
  if (blocks == 0 || launch.grid.x > 2147483647u || launch.grid.y > 65535 || launch.grid.z > 65535) {
    return call.refuse(invalidValue, "kernel " + function.name + ": no such grid: (" +
                                         number(launch.grid.x) + ", " + number(launch.grid.y) +
                                         ", " + number(launch.grid.z) + ")");
  }
  if (threads == 0 || threads > function.descriptor->threads || launch.block.z > 64) {
    return call.refuse(invalidValue, "kernel " + function.name + " is made for " +
                                         number(function.descriptor->threads) + " threads, not " +
                                         number(threads));
  }
  if (launch.sharedBytes > size_t(function.sharedLimit)) {
    return call.refuse(invalidValue, "kernel " + function.name + " may use " +
                                         number(uint64_t(function.sharedLimit)) +
                                         " bytes of shared memory, not " +
                                         number(launch.sharedBytes));
  }
  return success;
}

// Copies the argument struct: from `parameters`, or from the buffer that `extra` names with its size.
int takeArguments(const Call& call, const Function& function, void** parameters, void** extra,
                  std::vector<unsigned char>* arguments) {
  size_t expected = function.descriptor->argumentBytes;
  arguments->resize(expected);
  if (parameters) {
    if (extra) return call.refuse(invalidValue, "both parameters and a buffer");
    memcpy(arguments->data(), parameters[0], expected);
    return success;
  }
  const void* buffer = nullptr;
  size_t bytes = 0;
  // 1 is followed by the buffer's address, 2 by the address of its size, 0 ends the list.
  for (; extra && *extra; extra += 2) {
    auto key = reinterpret_cast<uintptr_t>(*extra);
    if (key == 1) buffer = extra[1];
    if (key == 2) bytes = *static_cast<size_t*>(extra[1]);
    if (key > 2) return call.refuse(invalidValue, "unknown entry in extra");
  }
  if (buffer == nullptr || bytes != expected) {
    return call.refuse(invalidValue, "kernel " + function.name + " takes " + number(expected) +
                                         " bytes of arguments, not " + number(bytes));
  }
  memcpy(arguments->data(), buffer, expected);
  return success;
}

}  // namespace

void closeModule(Module* module) {
  dlclose(module->library);
  close(module->file);
  delete module;
}

}  // namespace emulator

using namespace emulator;

DRIVER_CALL cuModuleLoadData(void** module, const void* image) {
  return loadImage(Call("cuModuleLoadData"), module, image);
}

DRIVER_CALL cuModuleLoadDataEx(void** module, const void* image, unsigned, int*, void**) {
  return loadImage(Call("cuModuleLoadDataEx"), module, image);
}

DRIVER_CALL cuModuleLoadFatBinary(void** module, const void* image) {
  return loadImage(Call("cuModuleLoadFatBinary"), module, image);
}

DRIVER_CALL cuModuleUnload(void* handle) {
  Call call("cuModuleUnload");
  Context* context;
  Module* module;
  if (int error = findModule(call, handle, &context, &module)) return error;
  int error = synchronize(context);
  context->modules.erase(module);
  closeModule(module);
  return error;
}

DRIVER_CALL cuModuleGetLoadingMode(int* mode) {
  *mode = 1;
  return success;
}

DRIVER_CALL cuModuleGetFunction(void** handle, void* moduleHandle, const char* name) {
  Call call("cuModuleGetFunction");
  Context* context;
  Module* module;
  if (int error = findModule(call, moduleHandle, &context, &module)) return error;
  auto* descriptor = static_cast<const KernelDescriptor*>(
      dlsym(module->library, (symbolPrefix + name).c_str()));
  if (descriptor == nullptr) return call.refuse(notFound, "no kernel " + std::string(name));
  if (descriptor->layout != layoutVersion) {
    return call.refuse(invalidImage, std::string(name) + " was built for another emulated device");
  }
  auto& function = module->functions[name];
  if (!function) function.reset(new Function{name, descriptor, module});
  *handle = function.get();
  return success;
}

DRIVER_CALL cuModuleGetGlobal_v2(uint64_t* address, size_t* bytes, void* handle, const char* name) {
  Call call("cuModuleGetGlobal");
  Context* context;
  Module* module;
  if (int error = findModule(call, handle, &context, &module)) return error;
  void* found = dlsym(module->library, name);
  Dl_info place;
  const Elf64_Sym* symbol = nullptr;
  auto** entry = reinterpret_cast<void**>(const_cast<Elf64_Sym**>(&symbol));
  if (found == nullptr || dladdr1(found, &place, entry, RTLD_DL_SYMENT) == 0 || symbol == nullptr) {
    return call.refuse(notFound, "no variable " + std::string(name));
  }
  if (address) *address = reinterpret_cast<uint64_t>(found);
  if (bytes) *bytes = symbol->st_size;
  return success;
}

DRIVER_CALL cuFuncGetModule(void** module, void* handle) {
  Call call("cuFuncGetModule");
  Context* context;
  Function* function;
  if (int error = findFunction(call, handle, &context, &function)) return error;
  *module = function->module;
  return success;
}

DRIVER_CALL cuFuncGetName(const char** name, void* handle) {
  Call call("cuFuncGetName");
  Context* context;
  Function* function;
  if (int error = findFunction(call, handle, &context, &function)) return error;
  *name = function->name.c_str();
  return success;
}

DRIVER_CALL cuFuncGetParamInfo(void* handle, size_t index, size_t* offset, size_t* bytes) {
  Call call("cuFuncGetParamInfo");
  Context* context;
  Function* function;
  if (int error = findFunction(call, handle, &context, &function)) return error;
  if (index > 0) return invalidValue;
  *offset = 0;
  if (bytes) *bytes = function->descriptor->argumentBytes;
  return success;
}

DRIVER_CALL cuFuncGetAttribute(int* value, int attribute, void* handle) {
  Call call("cuFuncGetAttribute");
  Context* context;
  Function* function;
  if (int error = findFunction(call, handle, &context, &function)) return error;
  switch (attribute) {
    case 0: *value = int(function->descriptor->threads); return success;
    case 1: case 2: case 3: *value = 0; return success;  // static shared, constant, local memory
    case 4: *value = 128; return success;                // registers
    case 5: case 6: *value = driver().settings.capability; return success;
    case 8: *value = function->sharedLimit; return success;
    default: *value = 0; return success;
  }
}

DRIVER_CALL cuFuncSetAttribute(void* handle, int attribute, int value) {
  Call call("cuFuncSetAttribute");
  Context* context;
  Function* function;
  if (int error = findFunction(call, handle, &context, &function)) return error;
  if (attribute == 9) return success;
  if (attribute != 8) return call.refuse(invalidValue, "attribute " + number(uint64_t(attribute)));
  if (value < 0 || value > driver().settings.sharedLimit) {
    return call.refuse(invalidValue, "kernel " + function->name + ": " + std::to_string(value) +
                                         " bytes of shared memory, a block has " +
                                         std::to_string(driver().settings.sharedLimit));
  }
  function->sharedLimit = value;
  return success;
}

DRIVER_CALL cuFuncSetCacheConfig(void*, int) { return success; }

DRIVER_CALL cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, void* handle, int threads,
                                                        size_t sharedBytes) {
  Call call("cuOccupancyMaxActiveBlocksPerMultiprocessor");
  Context* context;
  Function* function;
  if (int error = findFunction(call, handle, &context, &function)) return error;
  if (threads <= 0) return call.refuse(invalidValue, "no threads");
  int warps = (threads + 31) / 32;
  size_t shared = size_t(driver().settings.sharedLimit) + 1024;
  bool fits = threads <= int(function->descriptor->threads) &&
              sharedBytes <= size_t(function->sharedLimit);
  *blocks = fits ? std::min({32, 64 / warps, int(shared / (sharedBytes + 1024))}) : 0;
  return success;
}

DRIVER_CALL cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, void* function,
                                                                 int threads, size_t sharedBytes,
                                                                 unsigned) {
  return cuOccupancyMaxActiveBlocksPerMultiprocessor(blocks, function, threads, sharedBytes);
}

DRIVER_CALL cuLaunchKernel(void* handle, unsigned gridX, unsigned gridY, unsigned gridZ,
                           unsigned blockX, unsigned blockY, unsigned blockZ, unsigned sharedBytes,
                           void* streamHandle, void** parameters, void** extra) {
  Call call("cuLaunchKernel");
  Context* context;
  Stream* stream;
  Function* function;
  if (int error = findFunction(call, handle, &context, &function)) return error;
  if (int error = call.stream(streamHandle, &context, &stream)) return error;
  auto launch = std::make_shared<Launch>();
  launch->kernel = function->name;
  launch->descriptor = function->descriptor;
  launch->grid = {gridX, gridY, gridZ};
  launch->block = {blockX, blockY, blockZ};
  launch->sharedBytes = sharedBytes;
  if (int error = checkShape(call, *function, *launch)) return error;
  if (int error = takeArguments(call, *function, parameters, extra, &launch->arguments)) return error;
  return enqueue(call, stream, {call.name(), [launch] { return executeLaunch(*launch); }});
}
