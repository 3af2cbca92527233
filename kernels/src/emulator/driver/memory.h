// Device memory: a reserved range of addresses, of which only live allocations can be touched.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

namespace emulator {

struct Context;

struct Allocation {
  uint64_t address;
  size_t bytes;
  unsigned char* pages;  // [pageBytes], the allocation at their end
  size_t pageBytes;
  Context* context;
  bool open;     // false until a stream-ordered allocation has been executed
  bool closing;  // to be released by a stream
};

class DeviceMemory {
 public:
  void totalBytes(uint64_t bytes) { total_ = bytes; }
  uint64_t totalBytes() const { return total_; }
  uint64_t freeBytes() const { return total_ > used_ ? total_ - used_ : 0; }
  uint64_t liveBytes() const { return used_; }
  size_t liveCount() const { return allocations_.size() - closing_; }

  // The n-th allocation from now on finds no memory; 0: none does so.
  void failAllocation(uint64_t n) { failIn_ = n; }

  // An allocation that `open` must make usable; null where there is no memory. Its end is the end of
  // a page and inaccessible pages follow; it begins at a multiple of 16.
  Allocation* reserve(size_t bytes, Context* context);
  bool open(Allocation* allocation);
  // Counts it as free; `release` takes it away.
  void closing(Allocation* allocation);
  // False where bytes around it were written. `allocation` is gone afterwards.
  bool release(Allocation* allocation);
  // The allocation that begins at `address`, or null.
  Allocation* at(uint64_t address);
  // The allocation that holds all these bytes, or null.
  Allocation* holding(uint64_t address, size_t bytes);
  // The same, once its stream has allocated it.
  Allocation* usable(uint64_t address, size_t bytes);
  // Whether the address is in the device's range.
  bool contains(uint64_t address) const;
  // The first allocation of the context with overwritten bytes behind its end, or null.
  Allocation* damaged(const Context* context) const;
  const std::map<uint64_t, Allocation>& allocations() const { return allocations_; }
  // One line about what lies at or near an address.
  std::string nearest(uint64_t address) const;

 private:
  bool reserveRange();
  bool intact(const Allocation& allocation, size_t before) const;

  std::map<uint64_t, Allocation> allocations_;
  std::map<uint64_t, uint64_t> freed_;  // address, bytes, of the latest
  unsigned char* range_ = nullptr;
  size_t rangeBytes_ = 0;
  size_t nextPage_ = 0;  // offset in the range
  bool wentRound_ = false;
  int poisonFile_ = -1;
  uint64_t total_ = uint64_t(16) << 30;
  uint64_t used_ = 0;
  size_t closing_ = 0;
  uint64_t failIn_ = 0;
};

DeviceMemory& deviceMemory();
std::string nearestAllocation(uint64_t address);

}  // namespace emulator
