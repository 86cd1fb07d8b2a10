#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/schema/train.h"

namespace xp::dist {

/// "cpu", "cpu:1" (a second rank on the CPU), "gpu:0", or "" for the best there is. Throws Error
/// naming the device when this machine or this build does not have it.
at::Device find_device(const std::string& name);

/// Threads of ATen's kernels, deterministic algorithms wherever there is a choice, no tuning by
/// timing.
void prepare_device(at::Device device, int threads);

/// Forward passes in bf16 or fp16 while it lives; fp32 changes nothing. `auto` was resolved at
/// planning.
class Autocast {
 public:
  Autocast(at::Device device, schema::Precision precision);
  ~Autocast();
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  at::DeviceType type_;
  bool on_ = false;
  bool before_ = false;
  at::ScalarType dtype_before_ = at::kFloat;
};

/// Waits for the device's queue, so that a clock read after it is right.
void synchronise(at::Device device);

/// Memory in MiB that is in use now: of the device's allocator on a GPU, resident size on the CPU.
double memory_mb(at::Device device);

/// Peak memory in MiB since `reset_peak`: of the device's allocator on a GPU, resident size on the
/// CPU.
double peak_memory_mb(at::Device device);
void reset_peak(at::Device device);

/// True for an out-of-memory error of ATen or of operator new.
bool is_out_of_memory(const std::exception& error);

/// Threads for ATen and for the loader, out of those a stage may use.
struct Threads {
  int compute = 1;
  int load = 1;
};
Threads share_threads(int threads, int64_t workers);

}  // namespace xp::dist
