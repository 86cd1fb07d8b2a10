#include "core/base/gpu.h"

#include <filesystem>
#include <string>
#include <system_error>

#include <dlfcn.h>

namespace xp {
namespace {

#ifdef XP_CUDA_BUILD
constexpr bool kCudaBuild = true;
#else
constexpr bool kCudaBuild = false;
#endif

/// What the driver's own library answers; 0 where it is not there or refuses. Both functions are of
/// the driver's stable interface (CUDA Driver API: cuInit, cuDeviceGetCount).
int ask_driver() {
  void* driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (driver == nullptr) return 0;
  const auto init = reinterpret_cast<int (*)(unsigned)>(dlsym(driver, "cuInit"));
  const auto count = reinterpret_cast<int (*)(int*)>(dlsym(driver, "cuDeviceGetCount"));
  int found = 0;
  if (init == nullptr || count == nullptr || init(0) != 0 || count(&found) != 0) return 0;
  return found;  // the library stays: a driver that was started cannot be unloaded safely
}

}  // namespace

bool built_with_cuda() { return kCudaBuild; }

int usable_gpus() {
  static const int count = kCudaBuild ? ask_driver() : 0;
  return count;
}

int present_gpus() {
  std::error_code error;
  int count = 0;
  while (std::filesystem::exists("/dev/nvidia" + std::to_string(count), error)) ++count;
  return count;
}

}  // namespace xp
