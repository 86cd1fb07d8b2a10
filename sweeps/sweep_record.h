#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "core/graph/execute.h"
#include "sweeps/table.h"
#include "tracker/store.h"

namespace xp::sweeps {

/// One trial of a bundle, as its recorder knows it.
struct BundleMember {
  int64_t number = 0;
  tracker::Run* run = nullptr;
  std::map<std::string, std::string> names;  ///< key of a stage -> its name in this trial
};

/// Tells several runs what one execution does: a stage is recorded by the first run that needs it
/// and attached to all.
class BundleRecorder final : public graph::Recorder {
 public:
  using Doing = std::function<void(std::string_view)>;
  /// Called with (trial, epoch, value) when `watched` gets an epoch's value.
  using EpochValue = std::function<void(int64_t, int64_t, double)>;

  BundleRecorder(std::vector<BundleMember> members, std::string watched, Doing doing,
                 EpochValue epoch_value);

  std::unique_ptr<tracker::RunSink> begin(const graph::Node& node,
                                          const std::filesystem::path& folder) override;
  void publish(const graph::Node& node, const std::filesystem::path& folder) override;
  void attach(const graph::Node& node, const std::filesystem::path& folder, bool made_now) override;
  void say(const graph::Node& node, std::string_view line) override;
  void progress(const graph::Node& node, std::string_view what, double done, double total) override;

 private:
  const BundleMember& owner(const graph::Node& node) const;

  std::vector<BundleMember> members_;
  std::string watched_;
  Doing doing_;
  EpochValue epoch_value_;
};

}  // namespace xp::sweeps
