#include "memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <vector>

namespace emulator {

namespace {

constexpr size_t page = 4096;
constexpr size_t alignment = 16;
// Never all of it in use: freed addresses are not used again before the range has been gone through.
constexpr size_t largestRange = size_t(16) << 40;
constexpr size_t smallestRange = size_t(1) << 32;
// Fresh memory shows the bytes of this file until it is written: memory that a program asks for and
// never touches costs nothing.
constexpr size_t poisonBytes = size_t(4) << 20;
constexpr size_t rememberedFrees = 4096;

int makePoisonFile() {
  int file = memfd_create("device-memory", MFD_CLOEXEC);
  if (file < 0) return -1;
  std::vector<unsigned char> poison(poisonBytes, 0xff);
  if (write(file, poison.data(), poisonBytes) != ssize_t(poisonBytes)) {
    close(file);
    return -1;
  }
  return file;
}

}  // namespace

DeviceMemory& deviceMemory() {
  static auto* memory = new DeviceMemory;
  return *memory;
}

std::string nearestAllocation(uint64_t address) { return deviceMemory().nearest(address); }

bool DeviceMemory::reserveRange() {
  for (size_t bytes = largestRange; bytes >= smallestRange; bytes /= 4) {
    void* range =
        mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range == MAP_FAILED) continue;
    range_ = static_cast<unsigned char*>(range);
    rangeBytes_ = bytes;
    nextPage_ = page;
    poisonFile_ = makePoisonFile();
    return true;
  }
  return false;
}

Allocation* DeviceMemory::reserve(size_t bytes, Context* context) {
  if (failIn_ > 0 && --failIn_ == 0) return nullptr;
  if (bytes > freeBytes() || (range_ == nullptr && !reserveRange())) return nullptr;
  size_t pageBytes = (bytes + page - 1) / page * page;
  if (nextPage_ + pageBytes + page > rangeBytes_) {
    nextPage_ = page;
    wentRound_ = true;
  }
  // After going round, addresses in use are stepped over.
  for (auto& entry : allocations_) {
    if (!wentRound_) break;
    const Allocation& other = entry.second;
    size_t begin = size_t(other.pages - range_);
    if (begin < nextPage_ + pageBytes + page && nextPage_ < begin + other.pageBytes + page) {
      nextPage_ = begin + other.pageBytes + page;
    }
  }
  if (nextPage_ + pageBytes + page > rangeBytes_) return nullptr;
  unsigned char* pages = range_ + nextPage_;
  nextPage_ += pageBytes + page;
  uint64_t address = reinterpret_cast<uint64_t>(pages) + pageBytes -
                     (bytes + alignment - 1) / alignment * alignment;
  used_ += bytes;
  auto& allocation = allocations_[address];
  allocation = Allocation{address, bytes, pages, pageBytes, context, false, false};
  return &allocation;
}

bool DeviceMemory::open(Allocation* allocation) {
  unsigned char* pages = allocation->pages;
  for (size_t done = 0; done < allocation->pageBytes; done += poisonBytes) {
    size_t part = std::min(poisonBytes, allocation->pageBytes - done);
    int flags = MAP_PRIVATE | MAP_FIXED | (poisonFile_ < 0 ? MAP_ANONYMOUS : 0);
    if (mmap(pages + done, part, PROT_READ | PROT_WRITE, flags, poisonFile_, 0) == MAP_FAILED) {
      return false;
    }
    if (poisonFile_ < 0) memset(pages + done, 0xff, part);
  }
  allocation->open = true;
  return true;
}

void DeviceMemory::closing(Allocation* allocation) {
  used_ -= allocation->bytes;
  allocation->closing = true;
  ++closing_;
}

bool DeviceMemory::release(Allocation* allocation) {
  bool sound = !allocation->open || intact(*allocation, page);
  mmap(allocation->pages, allocation->pageBytes, PROT_NONE,
       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  freed_[allocation->address] = allocation->bytes;
  if (freed_.size() > rememberedFrees) freed_.erase(freed_.begin());
  --closing_;
  allocations_.erase(allocation->address);
  return sound;
}

bool DeviceMemory::intact(const Allocation& allocation, size_t before) const {
  auto* first = reinterpret_cast<const unsigned char*>(allocation.address);
  const unsigned char* byte =
      size_t(first - allocation.pages) > before ? first - before : allocation.pages;
  for (; byte < first; ++byte) {
    if (*byte != 0xff) return false;
  }
  const unsigned char* end = allocation.pages + allocation.pageBytes;
  for (byte = first + allocation.bytes; byte < end; ++byte) {
    if (*byte != 0xff) return false;
  }
  return true;
}

Allocation* DeviceMemory::at(uint64_t address) {
  auto found = allocations_.find(address);
  return found == allocations_.end() ? nullptr : &found->second;
}

Allocation* DeviceMemory::holding(uint64_t address, size_t bytes) {
  auto next = allocations_.upper_bound(address);
  if (next == allocations_.begin()) return nullptr;
  Allocation& allocation = std::prev(next)->second;
  uint64_t offset = address - allocation.address;
  bool inside = offset <= allocation.bytes && bytes <= allocation.bytes - offset;
  return inside ? &allocation : nullptr;
}

Allocation* DeviceMemory::usable(uint64_t address, size_t bytes) {
  Allocation* allocation = holding(address, bytes);
  return allocation && allocation->open ? allocation : nullptr;
}

bool DeviceMemory::contains(uint64_t address) const {
  return address - reinterpret_cast<uint64_t>(range_) < rangeBytes_;
}

Allocation* DeviceMemory::damaged(const Context* context) const {
  for (auto& entry : allocations_) {
    const Allocation& allocation = entry.second;
    bool looked = allocation.context == context && allocation.open;
    if (looked && !intact(allocation, 64)) return const_cast<Allocation*>(&allocation);
  }
  return nullptr;
}

std::string DeviceMemory::nearest(uint64_t address) const {
  auto text = [](uint64_t number) { return std::to_string(number); };
  if (address < page) return "the null pointer";
  if (!contains(address)) return "not device memory";
  auto freed = freed_.upper_bound(address);
  if (freed != freed_.begin()) {
    --freed;
    if (address - freed->first < freed->second) {
      return "byte " + text(address - freed->first) + " of freed memory of " + text(freed->second) +
             " bytes";
    }
  }
  auto next = allocations_.upper_bound(address);
  const Allocation* before = next == allocations_.begin() ? nullptr : &std::prev(next)->second;
  const Allocation* after = next == allocations_.end() ? nullptr : &next->second;
  uint64_t past = before ? address - before->address : ~uint64_t(0);
  uint64_t ahead = after ? after->address - address : ~uint64_t(0);
  if (before && past < before->bytes) {
    return "byte " + text(past) + " of memory of " + text(before->bytes) +
           " bytes that its stream has not allocated yet";
  }
  if (before && past - before->bytes <= ahead) {
    return text(past - before->bytes) + " bytes behind memory of " + text(before->bytes) + " bytes";
  }
  if (after) return text(ahead) + " bytes before memory of " + text(after->bytes) + " bytes";
  return "no device memory is allocated";
}

}  // namespace emulator
