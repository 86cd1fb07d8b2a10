#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <vector>

namespace xp::testing {

/// What the host asked of the pretend device. A wait is where it stood still until the device had
/// done all that it was given, and the device then stood still until it was given more.
struct DeviceWork {
  int64_t kernels = 0;
  int64_t waits = 0;     ///< .item(), copies that block, results as numbers, synchronising
  int64_t pageable = 0;  ///< copies "without waiting" from memory that is not pinned: they may wait

  DeviceWork operator-(const DeviceWork& other) const {
    return {kernels - other.kernels, waits - other.waits, pageable - other.pageable};
  }
};

/// Streams and events of the pretend device. Kernels are done at once; copies from and to pinned
/// memory as late as they may, so that one that is not waited for is seen: to the device when the
/// next kernel of their stream runs or somebody waits for them, to the host when somebody waits.
class PretendStreams {
 public:
  static PretendStreams& get();

  /// The stream of this thread.
  static int64_t& current();

  struct Event {
    int64_t stream = 0;
    int64_t moment = 0;
    int64_t kernels = 0;  // of the device when it was recorded
  };

  /// The device works while it lives: what its stream copied to it before has arrived.
  class Kernel {
   public:
    Kernel();

   private:
    std::unique_lock<std::recursive_mutex> lock_;
  };

  /// A copy of `bytes` from pinned memory to the open mapping, or from there to pinned memory.
  void copy_in(void* to, const void* from, size_t bytes);
  void copy_out(void* to, const void* from, size_t bytes);

  Event record(int64_t stream);
  /// Work of other streams waits for the event.
  void block(const Event& event);
  /// The host waits: for an event, a stream, all of them. `why` is printed with a stack where
  /// XP_TRACE_WAITS is set.
  void wait(const Event& event);
  void wait(int64_t stream, const char* why);
  void wait_for_all(const char* why);
  void count_pageable();

  DeviceWork work();

  /// Pinned memory, of which copies may be under way.
  void* pin(size_t bytes);
  void unpin(void* block);
  bool pinned(const void* address);

 private:
  struct Copy {
    int64_t stream = 0;
    int64_t moment = 0;
    const void* host = nullptr;  // the pinned side
    bool in = true;
    std::function<void()> run;
  };
  void run_if(const std::function<bool(const Copy&)>& due);
  void trace(const char* why) const;

  std::recursive_mutex mutex_;
  int64_t moment_ = 0;
  std::vector<Copy> copies_;
  std::map<const char*, size_t> pinned_;
  DeviceWork work_;
};

}  // namespace xp::testing
