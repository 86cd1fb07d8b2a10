#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>

namespace xp::testing {

/// The memory of the pretend device: one region of the machine's memory, mapped twice. Tensors hold
/// addresses of the closed mapping: the host that follows one ends the process with a stack and
/// exit code 86. Kernels work in the open mapping, at a fixed distance. Memory that is new or was
/// given back is filled with 0xFF, which is NaN in every floating type.
class PretendMemory {
 public:
  static constexpr int kTouched = 86;  ///< exit code of a process that touched it

  static PretendMemory& get();

  /// Never null; `bytes` > 0. Throws std::bad_alloc when all is taken.
  void* allocate(size_t bytes);
  void free(void* closed);
  /// Whether `address` lies in the closed mapping.
  bool owns(const void* address) const;
  /// Whether `address` lies in the open one.
  bool reaches(const void* address) const;

  /// Where kernels find what lies at `closed`.
  template <class T>
  T* open(T* closed) const {
    if (closed == nullptr) return nullptr;
    return reinterpret_cast<T*>(reinterpret_cast<uintptr_t>(closed) + distance_);
  }

 private:
  PretendMemory();
  static constexpr size_t kSize = size_t{1} << 30;

  char* closed_ = nullptr;
  uintptr_t distance_ = 0;  // modulo 2^64
  std::mutex mutex_;
  size_t used_ = 0;                      // bytes that were ever handed out
  std::multimap<size_t, char*> spare_;   // given back, by size
  std::map<const void*, size_t> taken_;  // sizes of what is in use
};

}  // namespace xp::testing
