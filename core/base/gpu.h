#pragma once

#include <string>
#include <vector>

namespace xp {

/// One GPU that the driver shows to this process, in CUDA's order.
struct Gpu {
  std::string uuid;  ///< as CUDA_VISIBLE_DEVICES takes it: "GPU-5a3f...", "MIG-..."
  std::string name;
  int major = 0;  ///< compute capability
  int minor = 0;
};

/// What the NVIDIA driver of a machine says.
struct GpuDriver {
  bool there = false;  ///< its library is on this machine
  int cuda = 0;        ///< newest CUDA that it knows: 1000 * major + 10 * minor, as 13000
  std::vector<Gpu> gpus;

  /// "13.0"
  std::string cuda_text() const;
  /// Why a program made for CUDA `major` cannot compute on GPUs that are there, and what to do; ""
  /// where it can, or where there are none.
  std::string fault(int major) const;
};

/// Asks the driver's own library, of its stable interface (CUDA Driver API: cuInit,
/// cuDriverGetVersion, cuDeviceGetCount, cuDeviceGetUuid_v2, cuDeviceGetName,
/// cuDeviceGetAttribute). It alone knows what a container or WSL was given, and it honours
/// CUDA_VISIBLE_DEVICES.
GpuDriver ask_gpu_driver(const char* library = "libcuda.so.1");

/// This machine's driver, asked once, so that a program without torch may ask too.
const GpuDriver& gpu_driver();

/// True in a program that is built with its CUDA parts (preset `cuda`).
bool built_with_cuda();

/// GPUs that this program can compute on: 0 in a build without CUDA, else those of the driver.
/// Throws Error where there are some and the driver is too old for this program: nobody should
/// train for days on the CPU beside a GPU without being told.
int usable_gpus();

/// Whether a stage with these devices ("cpu", "gpu:0"; empty = the best there is) computes on a
/// GPU. Throws as usable_gpus.
bool computes_on_gpu(const std::vector<std::string>& devices);

}  // namespace xp
