#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/unit.h"

namespace xp::tracker {

/// A metric of one run: the answer of RunSink::metric, good for that sink alone.
enum class MetricId : uint32_t {};

using xp::text;
using xp::Unit;

/// What the `step` of a metric counts, and with it how its points are stored.
enum class Grain : uint8_t {
  kStep,   ///< completed optimiser steps; packed 256 to a row
  kEpoch,  ///< completed epochs; a plain row each
  kFinal,  ///< one value of the whole stage (RunSink::summary): a plain row, the newest counts
  kTime,   ///< seconds since the run was made: what is sampled by the clock (system.cpu_cores);
           ///< packed
};

/// What an artifact is, for those who look for one.
enum class Kind : uint8_t { kCheckpoint, kPredictions, kTable, kFigure, kModel, kOther };

enum class Level : uint8_t { kInfo, kWarning, kError };

/// How a run or a stage ended.
enum class Outcome : uint8_t { kDone, kFailed, kInterrupted, kPreempted };

std::string_view text(Grain grain);      ///< "step", "epoch", "final", "time"
std::string_view text(Kind kind);        ///< "checkpoint", "predictions", ...
std::string_view text(Level level);      ///< "info", "warning", "error"
std::string_view text(Outcome outcome);  ///< "done", "failed", "interrupted", "preempted"

/// Where a run reports. Metric names are relative to the sink: a stage's sink puts `STAGE.` in
/// front, so a train stage names `train.loss`, `val.mAP`, `lr`; an evaluate stage `mAP`,
/// `ap/LABEL_ID` (docs/metrics.md).
///
/// Every member may be called from any thread. None but `artifact` throws into the work that it
/// reports on: what could not be kept is counted and said once, loudly, at the end.
class RunSink {
 public:
  virtual ~RunSink() = default;

  /// Declares a metric; the same name gives the same id. Costs microseconds: call it once, before
  /// the loop.
  virtual MetricId metric(std::string_view name, Unit unit, Grain grain) = 0;
  MetricId metric(std::string_view name, Unit unit) { return metric(name, unit, Grain::kStep); }

  /// One point; any bits of a double are kept exactly. Never blocks, never throws, tens of
  /// nanoseconds. When it returns the point survives the death of the process. `step` is what the
  /// metric's grain counts.
  virtual void log(MetricId metric, int64_t step, double value) noexcept = 0;

  /// The one value that a stage ends with: `summary("mAP", 0.459, Unit::kFraction)`.
  void summary(std::string_view name, double value, Unit unit) {
    log(metric(name, unit, Grain::kFinal), 0, value);
  }

  /// The stage goes on from a checkpoint taken at `step` completed steps and `epoch` completed
  /// epochs: points of earlier attempts beyond these are kept but no longer shown. Not called: the
  /// stage began anew.
  virtual void resumed(int64_t step, int64_t epoch) = 0;

  /// A file that the stage made, kept by content hash (one copy of equal bytes). `step` -1 where
  /// none applies. Throws Error (kData) when the file cannot be read.
  virtual void artifact(Kind kind, const std::filesystem::path& file, int64_t step) = 0;

  /// Something a reader of the run should know, with its time.
  virtual void event(Level level, std::string_view text) noexcept = 0;

  /// The end of what this sink reports on: of the stage, where it is a stage's. `reason` is empty
  /// when done.
  virtual void finished(Outcome outcome, std::string_view reason) = 0;
};

/// Keeps nothing.
class NullSink final : public RunSink {
 public:
  using RunSink::metric;
  MetricId metric(std::string_view, Unit, Grain) override { return MetricId{0}; }
  void log(MetricId, int64_t, double) noexcept override {}
  void resumed(int64_t, int64_t) override {}
  void artifact(Kind, const std::filesystem::path&, int64_t) override {}
  void event(Level, std::string_view) noexcept override {}
  void finished(Outcome, std::string_view) override {}
};

/// Keeps everything in memory: for tests of what reports.
class MemorySink final : public RunSink {
 public:
  struct Point {
    int64_t step;
    double value;
  };
  struct Series {
    std::string name;
    Unit unit;
    Grain grain;
    std::vector<Point> points;
  };
  struct Artifact {
    Kind kind;
    std::filesystem::path file;
    int64_t step;
  };
  struct Event {
    Level level;
    std::string text;
  };

  using RunSink::metric;
  MetricId metric(std::string_view name, Unit unit, Grain grain) override;
  void log(MetricId metric, int64_t step, double value) noexcept override;
  void resumed(int64_t step, int64_t epoch) override;
  void artifact(Kind kind, const std::filesystem::path& file, int64_t step) override;
  void event(Level level, std::string_view text) noexcept override;
  void finished(Outcome outcome, std::string_view reason) override;

  /// A copy of the points of `name`; empty when it was never declared.
  std::vector<Point> points(std::string_view name) const;
  /// The last value of `name`. Throws Error naming it when there is none.
  double last(std::string_view name) const;
  std::vector<std::string> names() const;
  std::vector<Artifact> artifacts() const;
  std::vector<Event> events() const;
  std::vector<std::pair<int64_t, int64_t>> resumes() const;  ///< (step, epoch) of each `resumed`
  std::vector<std::pair<Outcome, std::string>> endings() const;

 private:
  mutable std::mutex mutex_;
  std::vector<Series> series_;
  std::map<std::string, uint32_t, std::less<>> ids_;
  std::vector<Artifact> artifacts_;
  std::vector<Event> events_;
  std::vector<std::pair<int64_t, int64_t>> resumes_;
  std::vector<std::pair<Outcome, std::string>> endings_;
};

}  // namespace xp::tracker
