#include "sweeps/sweep_record.h"

#include <algorithm>
#include <atomic>
#include <limits>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/graph/build.h"
#include "core/run/run_record.h"
#include "core/schema/stage_options.h"

namespace xp::sweeps {
namespace {

// Hands everything on, and tells the values of one metric as they come.
class WatchSink final : public tracker::RunSink {
 public:
  WatchSink(std::unique_ptr<tracker::RunSink> next, std::string watched,
            std::function<void(int64_t, double)> tell)
      : next_(std::move(next)), watched_(std::move(watched)), tell_(std::move(tell)) {}

  using tracker::RunSink::metric;
  tracker::MetricId metric(std::string_view name, tracker::Unit unit,
                           tracker::Grain grain) override {
    const tracker::MetricId id = next_->metric(name, unit, grain);
    if (name == watched_ && grain == tracker::Grain::kEpoch) {
      id_.store(id);
      known_.store(true, std::memory_order_release);
    }
    return id;
  }
  void log(tracker::MetricId metric, int64_t step, double value) noexcept override {
    next_->log(metric, step, value);
    if (known_.load(std::memory_order_acquire) && metric == id_.load()) tell_(step, value);
  }
  void resumed(int64_t step, int64_t epoch) override { next_->resumed(step, epoch); }
  void artifact(tracker::Kind kind, const std::filesystem::path& file, int64_t step) override {
    next_->artifact(kind, file, step);
  }
  void event(tracker::Level level, std::string_view text) noexcept override {
    next_->event(level, text);
  }
  void finished(tracker::Outcome outcome, std::string_view reason) override {
    next_->finished(outcome, reason);
  }

 private:
  std::unique_ptr<tracker::RunSink> next_;
  const std::string watched_;
  std::function<void(int64_t, double)> tell_;
  std::atomic<tracker::MetricId> id_{};
  std::atomic<bool> known_ = false;
};

int64_t epochs_of(const graph::Node& node) {
  if (node.kind == "train") return graph::options_of<schema::TrainStageOptions>(node).train.epochs;
  if (node.kind == "pretrain")
    return graph::options_of<schema::PretrainStageOptions>(node).train.epochs;
  return std::numeric_limits<int64_t>::max();
}

}  // namespace

BundleRecorder::BundleRecorder(std::vector<BundleMember> members, std::string watched, Doing doing,
                               EpochValue epoch_value)
    : members_(std::move(members)),
      watched_(std::move(watched)),
      doing_(std::move(doing)),
      epoch_value_(std::move(epoch_value)) {}

const BundleMember& BundleRecorder::owner(const graph::Node& node) const {
  const auto at = std::find_if(members_.begin(), members_.end(), [&](const BundleMember& member) {
    return member.names.count(node.key) != 0;
  });
  XP_CHECK(at != members_.end(), "a stage that no trial of its bundle needs: " + node.name);
  return *at;
}

std::unique_ptr<tracker::RunSink> BundleRecorder::begin(const graph::Node& node,
                                                        const std::filesystem::path& folder) {
  const BundleMember& member = owner(node);
  const std::string& name = member.names.at(node.key);
  doing_(name);
  auto sink = member.run->begin_stage(name, node.kind, node.key, folder);
  if (!watched_.starts_with(name + ".")) return sink;
  return std::make_unique<WatchSink>(
      std::move(sink), watched_.substr(name.size() + 1),
      [this, number = member.number, epochs = epochs_of(node)](int64_t epoch, double value) {
        if (epoch < epochs) epoch_value_(number, epoch, value);  // with its last it ends anyway
      });
}

void BundleRecorder::publish(const graph::Node& node, const std::filesystem::path& folder) {
  const BundleMember& member = owner(node);
  member.run->publish_stage(member.names.at(node.key), folder);
}

void BundleRecorder::attach(const graph::Node& node, const std::filesystem::path& folder,
                            bool made_now) {
  log::info("{}: {}", node.name, made_now ? "done" : "cached");
  for (const BundleMember& member : members_) {
    const auto name = member.names.find(node.key);
    if (name != member.names.end()) run::attach_output(*member.run, name->second, node, folder);
  }
}

void BundleRecorder::say(const graph::Node& node, std::string_view line) {
  log::info("{}: {}", node.name, line);
  owner(node).run->event(tracker::Level::kInfo, fmt::format("{}: {}", node.name, line));
}

void BundleRecorder::progress(const graph::Node& node, std::string_view what, double done,
                              double total) {
  doing_(fmt::format("{}: {}{}", node.name, what.substr(0, what.find(',')),
                     total > 0 ? fmt::format(" {:.0f}/{:.0f}", done, total) : ""));
}

}  // namespace xp::sweeps
