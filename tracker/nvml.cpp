#include "tracker/nvml.h"

#include <array>

#include <dlfcn.h>

namespace xp::tracker {
namespace {

// The part of NVML's stable C interface that is used here, by its documented names and layouts.
using Device = void*;
struct Memory {
  unsigned long long total, free, used;
};
struct Utilization {
  unsigned int gpu, memory;
};
constexpr int kTemperatureGpu = 0;
constexpr unsigned kTextBytes = 96;

}  // namespace

struct Nvml::Functions {
  int (*init)();
  int (*count)(unsigned*);
  int (*handle)(unsigned, Device*);
  int (*name)(Device, char*, unsigned);
  int (*uuid)(Device, char*, unsigned);
  int (*memory)(Device, Memory*);
  int (*utilization)(Device, Utilization*);
  int (*power)(Device, unsigned*);
  int (*temperature)(Device, int, unsigned*);
  int (*driver)(char*, unsigned);

  bool load(void* library) {
    const auto get = [&](auto& function, const char* symbol) {
      function =
          reinterpret_cast<std::remove_reference_t<decltype(function)>>(::dlsym(library, symbol));
      return function != nullptr;
    };
    return get(init, "nvmlInit_v2") && get(count, "nvmlDeviceGetCount_v2") &&
           get(handle, "nvmlDeviceGetHandleByIndex_v2") && get(name, "nvmlDeviceGetName") &&
           get(uuid, "nvmlDeviceGetUUID") && get(memory, "nvmlDeviceGetMemoryInfo") &&
           get(utilization, "nvmlDeviceGetUtilizationRates") &&
           get(power, "nvmlDeviceGetPowerUsage") && get(temperature, "nvmlDeviceGetTemperature") &&
           get(driver, "nvmlSystemGetDriverVersion");
  }
};

const Nvml* Nvml::get() {
  static const Nvml* const found = []() -> const Nvml* {
    void* library = ::dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library) return nullptr;
    static Functions functions{};
    unsigned count = 0;
    if (!functions.load(library) || functions.init() != 0 || functions.count(&count) != 0 ||
        count == 0)
      return nullptr;
    static const Nvml nvml(&functions, static_cast<int>(count));
    return &nvml;
  }();
  return found;
}

std::string Nvml::driver() const {
  std::array<char, kTextBytes> text{};
  return functions_->driver(text.data(), kTextBytes) == 0 ? text.data() : "";
}

GpuInfo Nvml::info(int index) const {
  GpuInfo out;
  Device device = nullptr;
  if (functions_->handle(static_cast<unsigned>(index), &device) != 0) return out;
  std::array<char, kTextBytes> text{};
  if (functions_->name(device, text.data(), kTextBytes) == 0) out.name = text.data();
  if (functions_->uuid(device, text.data(), kTextBytes) == 0) out.uuid = text.data();
  Memory memory{};
  if (functions_->memory(device, &memory) == 0) out.memory_bytes = memory.total;
  return out;
}

GpuSample Nvml::sample(int index) const {
  GpuSample out;
  Device device = nullptr;
  if (functions_->handle(static_cast<unsigned>(index), &device) != 0) return out;
  Utilization busy{};
  Memory memory{};
  unsigned number = 0;
  if (functions_->utilization(device, &busy) == 0) out.busy_percent = busy.gpu;
  if (functions_->memory(device, &memory) == 0)
    out.memory_mb = static_cast<double>(memory.used) / (1 << 20);
  if (functions_->power(device, &number) == 0) out.power_w = number / 1000.0;
  if (functions_->temperature(device, kTemperatureGpu, &number) == 0) out.celsius = number;
  return out;
}

}  // namespace xp::tracker
