// What the driver calls share: contexts, streams, events, graphs, modules. One lock is held during
// every call. Work given to streams waits until somebody waits for it; then operations run one by one,
// from a stream picked by a seeded generator among those whose next operation may run.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "../runtime/pool.h"
#include "memory.h"

#define DRIVER_CALL extern "C" __attribute__((visibility("default"))) int

namespace emulator {

enum Error {
  success = 0,
  invalidValue = 1,
  outOfMemory = 2,
  notInitialized = 3,
  invalidDevice = 101,
  invalidImage = 200,
  invalidContext = 201,
  invalidHandle = 400,
  illegalState = 401,
  notFound = 500,
  notReady = 600,
  illegalAddress = 700,
  launchOutOfResources = 701,
  contextIsDestroyed = 709,
  hostMemoryAlreadyRegistered = 712,
  hostMemoryNotRegistered = 713,
  launchFailed = 719,
  notPermitted = 800,
  notSupported = 801,
  captureUnsupported = 900,
  captureInvalidated = 901,
  captureMerge = 902,
  captureUnmatched = 903,
  captureUnjoined = 904,
  captureIsolation = 905,
  captureImplicit = 906,
  capturedEvent = 907,
  captureWrongThread = 908,
};

struct Context;
struct Stream;
struct Capture;

struct Event {
  Context* context;
  bool timing;
  uint64_t recorded = 0;   // how often a record was asked for
  uint64_t completed = 0;  // the last of these that has been executed
  std::chrono::steady_clock::time_point time;
  Capture* capture = nullptr;     // the capture it was recorded in, if it was
  std::vector<int> captureAfter;  // the operations of the capture that it follows
};

// What a stream or a graph executes.
struct Operation {
  const char* call;
  std::function<Failure()> run;  // null: only waits
  std::shared_ptr<Event> wait = nullptr;  // runs only after this event's record number `waitFor`
  uint64_t waitFor = 0;
  uint64_t sequence = 0;
  // For repeated execution by graphs: operations that must come before, by number.
  std::vector<int> after = {};
};

// A graph: operations, each after those it names.
struct Graph {
  std::vector<Operation> operations;
};

struct Capture {
  Stream* origin;
  std::unique_ptr<Graph> graph = std::make_unique<Graph>();
  bool invalid = false;
  bool global = false;
  std::map<Stream*, std::vector<int>> last;  // of every stream that takes part
};

struct Stream {
  Context* context;
  bool blocking = true;  // waits for the legacy stream
  int priority = 0;
  uint64_t id = 0;
  std::deque<Operation> pending;
  Capture* capture = nullptr;
};

struct Module {
  Context* context;
  void* library;
  int file;
  std::map<std::string, std::unique_ptr<struct Function>> functions;
};

struct Function {
  std::string name;
  const KernelDescriptor* descriptor;
  Module* module;
  int sharedLimit = 48 * 1024;
};

struct Context {
  bool primary = false;
  int device = 0;
  unsigned flags = 0;
  uint64_t id = 0;
  Failure failure;  // sticky
  Stream legacy;
  std::set<Stream*> streams;  // without the legacy one
  std::map<Event*, std::shared_ptr<Event>> events;
  std::set<Module*> modules;
  std::set<Graph*> graphs;
  std::set<Graph*> executables;
  std::map<uint64_t, size_t> hostMemory;  // pinned: address, bytes
  std::map<uint64_t, size_t> registered;
  std::set<std::unique_ptr<Capture>> captures;
};

// What a test sets; see README.md.
struct Settings {
  uint64_t seed = 1;
  int devices = 1;
  int multiprocessors = 132;
  int capability = 90;
  int sharedLimit = 227 * 1024;
  uint64_t failLaunchIn = 0;
  uint64_t failHostAllocationIn = 0;
  bool quiet = false;
};

struct Primary {
  Context* context = nullptr;
  unsigned users = 0;
};

struct Driver {
  std::recursive_mutex lock;
  bool initialized = false;
  Settings settings;
  std::mt19937_64 random{1};
  uint64_t sequence = 0;
  uint64_t launches = 0;
  uint64_t nextId = 1;
  std::string lastMessage;
  std::set<Context*> contexts;
  std::map<int, Primary> primaries;  // by device
  Pool* pool = nullptr;
  unsigned workers = 0;

  Pool& readyPool();
};

Driver& driver();
std::vector<Context*>& contextStack();

// Prints one line, keeps it for cuGetErrorString(lastMessageCode) and returns `error`.
int refuse(int error, const char* call, const std::string& why);
const char* nameOfError(int error);

// Every call holds one of these from its first line to its end.
class Call {
 public:
  explicit Call(const char* name) : name_(name), guard_(driver().lock) {}

  const char* name() const { return name_; }
  int refuse(int error, const std::string& why) const { return emulator::refuse(error, name_, why); }
  int initialized() const;
  // Finds the calling thread's context; an error where there is none or it has failed.
  int context(Context** found) const;
  // The stream of a handle, in the calling thread's context.
  int stream(void* handle, Context** context, Stream** found) const;
  // Refuses what a capture under way forbids.
  int outsideCapture(Context* context) const;

 private:
  const char* name_;
  std::lock_guard<std::recursive_mutex> guard_;
};

// Gives an operation to a stream, or adds it to the graph that the stream captures.
int enqueue(const Call& call, Stream* stream, Operation operation);
// Executes operations until `done`, at least those needed. Returns the context's error.
int drain(Context* context, const std::function<bool()>& done);
int synchronize(Context* context);
int synchronizeStream(Stream* stream);
bool readyToRun(const Stream* stream);
int executeStep(Context* context);
Failure executeOperation(const Operation& operation);
// Executes a graph once, in an order that its edges allow.
Failure executeGraph(const Graph& graph);
Failure executeLaunch(const Launch& launch);
void destroyContext(Context* context);
void closeModule(Module* module);
void freeHostPages(uint64_t address, size_t bytes);
// Whether the driver knows the host memory, so that the device may use it while the host goes on.
bool isPinned(const Context* context, const void* host, size_t bytes);

}  // namespace emulator
