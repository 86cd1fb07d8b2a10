#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

#include "data/loader.h"

namespace xp::data {

/// Blocks of memory that go round between the loader's threads and its caller. A block goes back
/// when the last copy of its pointer dies, even after the loader: pinned memory is slow to get, so
/// it is kept.
class BufferPool : public std::enable_shared_from_this<BufferPool> {
 public:
  explicit BufferPool(Allocator allocator);
  ~BufferPool();
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

  /// At least `bytes` bytes, aligned for any vector unit. Throws Error (kFailed) when there is no
  /// memory.
  std::shared_ptr<void> get(size_t bytes);

 private:
  struct Block {
    void* memory = nullptr;
    size_t bytes = 0;
  };
  void put_back(Block block);

  Allocator allocator_;
  std::mutex mutex_;
  std::vector<Block> free_;
};

}  // namespace xp::data
