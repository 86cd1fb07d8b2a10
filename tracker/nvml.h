#pragma once

#include <cstdint>
#include <string>

namespace xp::tracker {

struct GpuInfo {
  std::string name, uuid;
  uint64_t memory_bytes = 0;
};

/// One look at a GPU; a negative value is not known.
struct GpuSample {
  double busy_percent = -1, memory_mb = -1, power_w = -1, celsius = -1;
};

/// NVIDIA's management library, loaded at run time: exp neither links nor needs it.
class Nvml {
 public:
  /// Null on a machine without it. The same object for all; any thread.
  static const Nvml* get();

  int count() const { return count_; }
  std::string driver() const;
  GpuInfo info(int index) const;
  GpuSample sample(int index) const;

 private:
  struct Functions;
  explicit Nvml(const Functions* functions, int count) : functions_(functions), count_(count) {}
  const Functions* functions_;
  int count_;
};

}  // namespace xp::tracker
