#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>

#include "tracker/run_sink.h"

namespace xp::graph {

/// Hands everything on, and remembers the final values: they go into the manifest.
class SummarySink final : public tracker::RunSink {
 public:
  explicit SummarySink(tracker::RunSink& next) : next_(next) {}

  using tracker::RunSink::metric;
  tracker::MetricId metric(std::string_view name, tracker::Unit unit,
                           tracker::Grain grain) override;
  void log(tracker::MetricId metric, int64_t step, double value) noexcept override;
  void resumed(int64_t step, int64_t epoch) override { next_.resumed(step, epoch); }
  void artifact(tracker::Kind kind, const std::filesystem::path& file, int64_t step) override {
    next_.artifact(kind, file, step);
  }
  void event(tracker::Level level, std::string_view text) noexcept override {
    next_.event(level, text);
  }
  void finished(tracker::Outcome outcome, std::string_view reason) override {
    next_.finished(outcome, reason);
  }

  /// The newest final value of each name.
  std::map<std::string, double> summary() const;

 private:
  tracker::RunSink& next_;
  // Training logs from its inner loop: an id is one load away from the next sink's.
  static constexpr uint32_t kFinal = uint32_t{1} << 31;
  std::array<std::atomic<uint32_t>, 1 << 14> next_ids_{};
  mutable std::mutex mutex_;
  std::map<std::string, uint32_t, std::less<>> ids_;
  std::map<uint32_t, std::string> finals_;
  std::map<std::string, double> values_;
};

}  // namespace xp::graph
