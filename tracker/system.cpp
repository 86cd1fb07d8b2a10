#include "tracker/system.h"

#include <cstdio>
#include <vector>

#include <unistd.h>

#include <fmt/format.h>

#include "core/base/clock.h"
#include "core/base/cpu.h"
#include "tracker/nvml.h"

namespace xp::tracker {
namespace {

double resident_mb() {
  std::FILE* file = std::fopen("/proc/self/statm", "re");
  if (!file) return 0;
  long long total = 0, resident = 0;
  const int read = std::fscanf(file, "%lld %lld", &total, &resident);
  std::fclose(file);
  return read == 2 ? static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE)) /
                         (1 << 20)
                   : 0;
}

struct GpuMetrics {
  MetricId busy, memory, power, celsius;
};

}  // namespace

SystemSampler::SystemSampler(RunSink& sink, int64_t start_ns, std::chrono::milliseconds interval)
    : sink_(sink), thread_([this, start_ns, interval] { loop(start_ns, interval); }) {}

SystemSampler::~SystemSampler() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void SystemSampler::loop(int64_t start_ns, std::chrono::milliseconds interval) {
  const auto declare = [&](const std::string& name, Unit unit) {
    return sink_.metric(name, unit, Grain::kTime);
  };
  const MetricId cores = declare("system.cpu_cores", Unit::kCount);
  const MetricId resident = declare("system.rss_mb", Unit::kMebibytes);
  const Nvml* nvml = Nvml::get();
  std::vector<GpuMetrics> gpus;
  for (int i = 0; nvml && i < nvml->count(); ++i) {
    const std::string prefix = fmt::format("system.gpu{}.", i);
    gpus.push_back(
        {declare(prefix + "busy", Unit::kPercent), declare(prefix + "memory_mb", Unit::kMebibytes),
         declare(prefix + "power_w", Unit::kWatt), declare(prefix + "celsius", Unit::kCelsius)});
  }
  double cpu_before = process_cpu_seconds();
  int64_t time_before = steady_ns();
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, interval, [this] { return stop_; })) {
    const double cpu = process_cpu_seconds();
    const int64_t time = steady_ns();
    const int64_t second = (timeline_ns() - start_ns) / 1'000'000'000;
    sink_.log(cores, second, (cpu - cpu_before) / (static_cast<double>(time - time_before) * 1e-9));
    sink_.log(resident, second, resident_mb());
    cpu_before = cpu;
    time_before = time;
    for (size_t i = 0; i < gpus.size(); ++i) {
      const GpuSample sample = nvml->sample(static_cast<int>(i));
      const auto put = [&](MetricId id, double value) {
        if (value >= 0) sink_.log(id, second, value);
      };
      put(gpus[i].busy, sample.busy_percent);
      put(gpus[i].memory, sample.memory_mb);
      put(gpus[i].power, sample.power_w);
      put(gpus[i].celsius, sample.celsius);
    }
  }
}

}  // namespace xp::tracker
