#include "core/graph/summary_sink.h"

namespace xp::graph {

tracker::MetricId SummarySink::metric(std::string_view name, tracker::Unit unit,
                                      tracker::Grain grain) {
  const auto theirs = static_cast<uint32_t>(next_.metric(name, unit, grain));
  const std::lock_guard lock(mutex_);
  const auto [known, is_new] = ids_.emplace(std::string(name), static_cast<uint32_t>(ids_.size()));
  const uint32_t id = known->second;
  // More names than the table has room for: the rest is handed on, and is not in the manifest.
  if (id >= next_ids_.size())
    return tracker::MetricId{static_cast<uint32_t>(next_ids_.size()) + theirs};
  if (is_new && grain == tracker::Grain::kFinal) finals_.emplace(id, known->first);
  const uint32_t flag = grain == tracker::Grain::kFinal ? kFinal : 0;
  next_ids_[id].store(theirs | flag, std::memory_order_release);
  return tracker::MetricId{id};
}

void SummarySink::log(tracker::MetricId metric, int64_t step, double value) noexcept {
  const auto id = static_cast<uint32_t>(metric);
  if (id >= next_ids_.size()) {
    next_.log(tracker::MetricId{id - static_cast<uint32_t>(next_ids_.size())}, step, value);
    return;
  }
  const uint32_t next = next_ids_[id].load(std::memory_order_acquire);
  next_.log(tracker::MetricId{next & ~kFinal}, step, value);
  if ((next & kFinal) == 0) return;
  const std::lock_guard lock(mutex_);
  const auto name = finals_.find(id);
  if (name != finals_.end()) values_[name->second] = value;
}

std::map<std::string, double> SummarySink::summary() const {
  const std::lock_guard lock(mutex_);
  return values_;
}

}  // namespace xp::graph
