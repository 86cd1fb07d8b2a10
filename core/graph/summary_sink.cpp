#include "core/graph/summary_sink.h"

#include <algorithm>

namespace xp::graph {
namespace {

// Ids count from 0 in the order of declaration; beyond the array all share its last place and are
// looked up.
size_t place(tracker::MetricId id, size_t size) {
  return std::min<size_t>(static_cast<size_t>(id), size - 1);
}

}  // namespace

tracker::MetricId SummarySink::metric(std::string_view name, tracker::Unit unit,
                                      tracker::Grain grain) {
  const tracker::MetricId id = next_.metric(name, unit, grain);
  if (grain == tracker::Grain::kFinal) {
    const std::lock_guard lock(mutex_);
    names_[id] = std::string(name);
    final_[place(id, final_.size())].store(true, std::memory_order_release);
  }
  return id;
}

void SummarySink::log(tracker::MetricId metric, int64_t step, double value) noexcept {
  next_.log(metric, step, value);
  if (!final_[place(metric, final_.size())].load(std::memory_order_acquire)) return;
  const std::lock_guard lock(mutex_);
  const auto name = names_.find(metric);
  if (name != names_.end()) values_[name->second] = value;
}

std::map<std::string, double> SummarySink::summary() const {
  const std::lock_guard lock(mutex_);
  return values_;
}

}  // namespace xp::graph
