#include "core/dist/device.h"

#include <algorithm>
#include <fstream>
#include <new>

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include "core/base/cpu.h"
#include "core/base/error.h"
#include "core/base/gpu.h"

#ifdef XP_WITH_CUDA
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#endif

namespace xp::dist {
namespace {

constexpr double kMib = 1024.0 * 1024.0;

/// GPUs that LibTorch shows. Planning went by the driver's word: where LibTorch's differs, a run
/// that was planned for the GPU must not go on elsewhere.
int torch_gpus() {
  const int usable = usable_gpus();
  if (usable == 0) return 0;
  const int shown =
      static_cast<int>(at::globalContext().getAcceleratorHooksInterface(at::kCUDA).deviceCount());
  if (shown == usable) return usable;
  throw Error(fmt::format(
      "the NVIDIA driver (CUDA {}) shows {} GPUs and LibTorch {}: `exp doctor` tells more; "
      "--devices cpu computes without them",
      gpu_driver().cuda_text(), usable, shown));
}

}  // namespace

at::Device find_device(const std::string& name) {
  if (name.empty()) return torch_gpus() > 0 ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU);
  const size_t colon = name.find(':');
  const std::string kind = name.substr(0, colon);
  int index = 0;
  if (colon != std::string::npos) {
    const std::string digits = name.substr(colon + 1);
    if (digits.empty() || digits.size() > 4 ||
        digits.find_first_not_of("0123456789") != std::string::npos)
      throw Error(fmt::format("device '{}': write cpu, cpu:1 or gpu:0", name));
    index = std::stoi(digits);
  }
  if (kind == "cpu") return at::Device(at::kCPU);
  if (kind != "gpu" && kind != "cuda")
    throw Error(fmt::format("device '{}': write cpu, cpu:1 or gpu:0", name));
  if (!built_with_cuda()) {
    throw Error(fmt::format(
        "device '{}': this program was built without CUDA; build the preset `cuda`", name));
  }
  const int count = torch_gpus();
  if (index < count) return at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(index));
  throw Error(fmt::format("device '{}': this machine has {} GPUs", name, count));
}

void prepare_device(at::Device device, int threads) {
  at::set_num_threads(std::max(1, threads));  // also beside a GPU: draws, checkpoints, host copies
  if (!device.is_cpu()) {
    // For what asks for "cuda" without a number: else each rank had a context on the first GPU too.
    c10::impl::VirtualGuardImpl(device.type()).setDevice(device);
  }
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
  at::globalContext().setBenchmarkCuDNN(false);
  at::globalContext().setDeterministicCuDNN(true);
  // fp32 is fp32: LibTorch leaves TF32 off for products and on for convolutions.
  at::globalContext().setAllowTF32CuDNN(false);
  at::globalContext().setAllowTF32CuBLAS(false);
  // New memory need not be filled for determinism: nothing here reads what it did not write.
  at::globalContext().setDeterministicFillUninitializedMemory(false);
}

Autocast::Autocast(at::Device device, schema::Precision precision) : type_(device.type()) {
  if (precision != schema::Precision::kBf16 && precision != schema::Precision::kFp16) return;
  on_ = true;
  before_ = at::autocast::is_autocast_enabled(type_);
  dtype_before_ = at::autocast::get_autocast_dtype(type_);
  at::autocast::set_autocast_dtype(
      type_, precision == schema::Precision::kBf16 ? at::kBFloat16 : at::kHalf);
  at::autocast::set_autocast_enabled(type_, true);
  at::autocast::increment_nesting();
}

Autocast::~Autocast() {
  if (!on_) return;
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(type_, before_);
  at::autocast::set_autocast_dtype(type_, dtype_before_);
}

void synchronise(at::Device device) {
  if (device.is_cpu()) return;
  c10::impl::VirtualGuardImpl(device.type()).synchronizeDevice(device.index());
}

double memory_mb([[maybe_unused]] at::Device device) {
#ifdef XP_WITH_CUDA
  if (device.is_cuda()) {
    const auto stats = c10::cuda::CUDACachingAllocator::getDeviceStats(device.index());
    return static_cast<double>(stats.allocated_bytes[0].current) / kMib;
  }
#endif
  return static_cast<double>(resident_bytes()) / kMib;
}

double peak_memory_mb([[maybe_unused]] at::Device device) {
#ifdef XP_WITH_CUDA
  if (device.is_cuda()) {
    const auto stats = c10::cuda::CUDACachingAllocator::getDeviceStats(device.index());
    return static_cast<double>(stats.allocated_bytes[0].peak) / kMib;
  }
#endif
  return static_cast<double>(peak_resident_bytes()) / kMib;
}

void reset_peak([[maybe_unused]] at::Device device) {
#ifdef XP_WITH_CUDA
  if (device.is_cuda()) {
    c10::cuda::CUDACachingAllocator::resetPeakStats(device.index());
    return;
  }
#endif
  // "5" resets the high-water mark of the resident size; where the kernel refuses it stays as it
  // is.
  std::ofstream("/proc/self/clear_refs") << "5";
}

bool is_out_of_memory(const std::exception& error) {
  if (dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr) return true;
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) return true;
  return std::string_view(error.what()).find("can't allocate memory") != std::string_view::npos;
}

Threads share_threads(int threads, int64_t workers) {
  const int all = std::max(1, threads);
  Threads share;
  share.compute = all;
  // Loading is light beside the model: a thread of its own for each four, it sleeps most of the
  // time.
  share.load = workers > 0 ? static_cast<int>(workers) : std::max(1, all / 4);
  return share;
}

}  // namespace xp::dist
