#pragma once

#include <array>
#include <atomic>
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
  // Training logs from its inner loop: whether an id is a final one is one load.
  std::array<std::atomic<bool>, 1 << 16> final_{};
  mutable std::mutex mutex_;
  std::map<tracker::MetricId, std::string> names_;
  std::map<std::string, double> values_;
};

}  // namespace xp::graph
