#include "core/base/gpu.h"

#include <array>

#include <dlfcn.h>

#include <fmt/format.h>

#include "core/base/error.h"

namespace xp {
namespace {

#ifdef XP_WITH_CUDA
constexpr int kCudaMajor = XP_WITH_CUDA;
#else
constexpr int kCudaMajor = 0;
#endif

// CUdevice_attribute of the driver's interface.
constexpr int kMajor = 75;
constexpr int kMinor = 76;

template <class Function>
Function function_of(void* library, const char* name) {
  return reinterpret_cast<Function>(dlsym(library, name));
}

struct Interface {
  explicit Interface(void* library)
      : init(function_of<decltype(init)>(library, "cuInit")),
        version(function_of<decltype(version)>(library, "cuDriverGetVersion")),
        count(function_of<decltype(count)>(library, "cuDeviceGetCount")),
        uuid(function_of<decltype(uuid)>(library, "cuDeviceGetUuid_v2")),
        name(function_of<decltype(name)>(library, "cuDeviceGetName")),
        attribute(function_of<decltype(attribute)>(library, "cuDeviceGetAttribute")) {}
  bool whole() const { return init && version && count && uuid && name && attribute; }

  int (*init)(unsigned flags);
  int (*version)(int* out);
  int (*count)(int* out);
  int (*uuid)(unsigned char* out, int device);  // 16 bytes
  int (*name)(char* out, int length, int device);
  int (*attribute)(int* out, int attribute, int device);
};

std::string uuid_text(const std::array<unsigned char, 16>& bytes, bool part_of_gpu) {
  std::string out = part_of_gpu ? "MIG" : "GPU";
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i == 0 || i == 4 || i == 6 || i == 8 || i == 10) out += '-';
    out += fmt::format("{:02x}", bytes[i]);
  }
  return out;
}

Gpu gpu_of(const Interface& driver, int device) {
  Gpu out;
  std::array<char, 128> name{};
  if (driver.name(name.data(), static_cast<int>(name.size()) - 1, device) == 0)
    out.name = name.data();
  std::array<unsigned char, 16> uuid{};
  const bool part = out.name.find(" MIG ") != std::string::npos;
  if (driver.uuid(uuid.data(), device) == 0) out.uuid = uuid_text(uuid, part);
  driver.attribute(&out.major, kMajor, device);
  driver.attribute(&out.minor, kMinor, device);
  return out;
}

std::string version_text(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

}  // namespace

std::string GpuDriver::cuda_text() const { return version_text(cuda); }

std::string GpuDriver::fault(int major) const {
  if (gpus.empty() || cuda >= 1000 * major) return "";
  return fmt::format(
      "the NVIDIA driver of this machine knows CUDA {} at most, this program needs {}.0: install a "
      "newer driver, or compute without the GPU (--devices cpu)",
      cuda_text(), major);
}

GpuDriver ask_gpu_driver(const char* library) {
  GpuDriver out;
  // It stays loaded: a driver that was started cannot be unloaded safely.
  void* const handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) return out;
  out.there = true;
  const Interface driver(handle);
  int count = 0;
  if (!driver.whole() || driver.init(0) != 0 || driver.count(&count) != 0) return out;
  driver.version(&out.cuda);
  for (int i = 0; i < count; ++i) out.gpus.push_back(gpu_of(driver, i));
  return out;
}

const GpuDriver& gpu_driver() {
  static const GpuDriver the_driver = ask_gpu_driver();
  return the_driver;
}

bool built_with_cuda() { return kCudaMajor > 0; }

int usable_gpus() {
  if (!built_with_cuda()) return 0;
  if (std::string fault = gpu_driver().fault(kCudaMajor); !fault.empty()) throw Error(fault);
  return static_cast<int>(gpu_driver().gpus.size());
}

bool computes_on_gpu(const std::vector<std::string>& devices) {
  return devices.empty() ? usable_gpus() > 0 : devices.front().starts_with("gpu");
}

}  // namespace xp
