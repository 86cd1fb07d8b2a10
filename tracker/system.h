#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>

#include "tracker/run_sink.h"

namespace xp::tracker {

/// A thread that logs what the run costs its machine, every `interval`: system.cpu_cores (cores
/// busy for this process), system.rss_mb, and per GPU system.gpuN.busy, .memory_mb, .power_w,
/// .celsius. Their step is seconds since `start_ns`.
class SystemSampler {
 public:
  SystemSampler(RunSink& sink, int64_t start_ns, std::chrono::milliseconds interval);
  ~SystemSampler();
  SystemSampler(const SystemSampler&) = delete;
  SystemSampler& operator=(const SystemSampler&) = delete;

 private:
  void loop(int64_t start_ns, std::chrono::milliseconds interval);

  RunSink& sink_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace xp::tracker
