#include "tracker/run_sink.h"

#include <array>

#include <fmt/format.h>

#include "core/base/error.h"

namespace xp::tracker {
namespace {

constexpr std::array<std::string_view, 4> kGrains = {"step", "epoch", "final", "time"};
constexpr std::array<std::string_view, 6> kKinds = {"checkpoint", "predictions", "table",
                                                    "figure",     "model",       "other"};
constexpr std::array<std::string_view, 3> kLevels = {"info", "warning", "error"};
constexpr std::array<std::string_view, 4> kOutcomes = {"done", "failed", "interrupted",
                                                       "preempted"};

}  // namespace

std::string_view text(Grain grain) { return kGrains.at(static_cast<size_t>(grain)); }
std::string_view text(Kind kind) { return kKinds.at(static_cast<size_t>(kind)); }
std::string_view text(Level level) { return kLevels.at(static_cast<size_t>(level)); }
std::string_view text(Outcome outcome) { return kOutcomes.at(static_cast<size_t>(outcome)); }

MetricId MemorySink::metric(std::string_view name, Unit unit, Grain grain) {
  const std::lock_guard lock(mutex_);
  const auto [at, fresh] = ids_.emplace(name, static_cast<uint32_t>(series_.size()));
  if (fresh) series_.push_back({std::string(name), unit, grain, {}});
  return MetricId{at->second};
}

void MemorySink::log(MetricId metric, int64_t step, double value) noexcept {
  const std::lock_guard lock(mutex_);
  series_.at(static_cast<size_t>(metric)).points.push_back({step, value});
}

void MemorySink::resumed(int64_t step, int64_t epoch) {
  const std::lock_guard lock(mutex_);
  resumes_.emplace_back(step, epoch);
}

void MemorySink::artifact(Kind kind, const std::filesystem::path& file, int64_t step) {
  const std::lock_guard lock(mutex_);
  artifacts_.push_back({kind, file, step});
}

void MemorySink::event(Level level, std::string_view text) noexcept {
  const std::lock_guard lock(mutex_);
  events_.push_back({level, std::string(text)});
}

void MemorySink::finished(Outcome outcome, std::string_view reason) {
  const std::lock_guard lock(mutex_);
  endings_.emplace_back(outcome, std::string(reason));
}

std::vector<MemorySink::Point> MemorySink::points(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  const auto at = ids_.find(name);
  return at == ids_.end() ? std::vector<Point>{} : series_[at->second].points;
}

double MemorySink::last(std::string_view name) const {
  const std::vector<Point> all = points(name);
  if (all.empty()) throw Error(fmt::format("no value of '{}' was reported", name), Exit::kInternal);
  return all.back().value;
}

std::vector<std::string> MemorySink::names() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> out;
  for (const Series& series : series_) out.push_back(series.name);
  return out;
}

std::vector<MemorySink::Artifact> MemorySink::artifacts() const {
  const std::lock_guard lock(mutex_);
  return artifacts_;
}

std::vector<MemorySink::Event> MemorySink::events() const {
  const std::lock_guard lock(mutex_);
  return events_;
}

std::vector<std::pair<int64_t, int64_t>> MemorySink::resumes() const {
  const std::lock_guard lock(mutex_);
  return resumes_;
}

std::vector<std::pair<Outcome, std::string>> MemorySink::endings() const {
  const std::lock_guard lock(mutex_);
  return endings_;
}

}  // namespace xp::tracker
