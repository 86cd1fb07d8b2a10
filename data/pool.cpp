#include "data/pool.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include <fmt/format.h>

#include "core/base/error.h"

namespace xp::data {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kMostFree = 8;  // more than a loader has in flight: sizes vary when clips do

Allocator ordinary_memory() {
  return {[](size_t bytes) { return std::aligned_alloc(kAlignment, bytes); },
          [](void* memory, size_t) { std::free(memory); }};
}

}  // namespace

BufferPool::BufferPool(Allocator allocator) : allocator_(std::move(allocator)) {
  if (!allocator_.allocate) allocator_ = ordinary_memory();
}

BufferPool::~BufferPool() {
  for (const Block& block : free_) allocator_.release(block.memory, block.bytes);
}

std::shared_ptr<void> BufferPool::get(size_t bytes) {
  Block block;
  {
    const std::lock_guard lock(mutex_);
    // The smallest that is large enough, so that a long batch does not take every block's place.
    auto best = free_.end();
    for (auto it = free_.begin(); it != free_.end(); ++it) {
      if (it->bytes >= bytes && (best == free_.end() || it->bytes < best->bytes)) best = it;
    }
    if (best != free_.end()) {
      block = *best;
      free_.erase(best);
    }
  }
  if (block.memory == nullptr) {
    block.bytes = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    block.memory = allocator_.allocate(block.bytes);
    if (block.memory == nullptr) {
      throw Error(fmt::format("out of memory: a batch needs {:.1f} MB",
                              static_cast<double>(block.bytes) / 1e6),
                  Exit::kFailed);
    }
  }
  return {block.memory, [self = shared_from_this(), block](void*) { self->put_back(block); }};
}

void BufferPool::put_back(Block block) {
  Block dropped;
  {
    const std::lock_guard lock(mutex_);
    free_.push_back(block);
    if (free_.size() > kMostFree) {
      const auto smallest =
          std::min_element(free_.begin(), free_.end(),
                           [](const Block& a, const Block& b) { return a.bytes < b.bytes; });
      dropped = *smallest;
      free_.erase(smallest);
    }
  }
  if (dropped.memory != nullptr) allocator_.release(dropped.memory, dropped.bytes);
}

}  // namespace xp::data
