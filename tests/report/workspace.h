#pragma once

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "tests/testing/temp_dir.h"
#include "tracker/query.h"
#include "tracker/store.h"

/// Workspaces for the tests of reports.
namespace xp::report::testing_workspace {

using tracker::Unit;

/// What one run of a test holds.
struct Made {
  std::string name = "exp";
  std::vector<tracker::Param> params;
  std::vector<std::pair<std::string, double>> finals;  ///< "mAP", of the stage eval
  std::vector<double> loss;                            ///< train.loss, one a step
  std::string sweep;
  bool done = true;
};

inline tracker::Param param(const std::string& key, tracker::Value value) {
  return {key, std::move(value), "--set"};
}

inline Unit unit_of(const std::string& metric) {
  if (metric == "clips_per_s") return Unit::kPerSecond;
  if (metric == "peak_mem_mb") return Unit::kMebibytes;
  return Unit::kFraction;
}

class Workspace {
 public:
  Workspace() : store_(folder_.path() / ".exp") {}

  std::string add(const Made& made) {
    tracker::NewRun run;
    run.name = made.name;
    run.recipe_path = made.name + ".toml";
    run.recipe_hash = std::to_string(count_++);
    run.params = made.params;
    run.sweep = made.sweep;
    tracker::RunOptions options;
    options.provenance = false;
    options.system = std::chrono::milliseconds(0);
    auto open = store_.create(run, options);
    if (!made.loss.empty()) {
      auto stage = open->begin_stage("train", "train", "k" + run.recipe_hash, {});
      const auto id = stage->metric("train.loss", Unit::kNone);
      for (size_t i = 0; i < made.loss.size(); ++i)
        stage->log(id, static_cast<int64_t>(i) + 1, made.loss[i]);
      stage->finished(tracker::Outcome::kDone, "");
    }
    if (!made.finals.empty()) {
      auto stage = open->begin_stage("eval", "evaluate", "e" + run.recipe_hash, {});
      for (const auto& [name, value] : made.finals) stage->summary(name, value, unit_of(name));
      stage->finished(tracker::Outcome::kDone, "");
    }
    open->finish(made.done ? tracker::Outcome::kDone : tracker::Outcome::kFailed, "", "", 0);
    return open->uid();
  }

  std::string run(int64_t r, int64_t seed, double map, double rate = 0) {
    Made made;
    made.params = {param("tome.r", r), param("experiment.seed", seed)};
    made.finals = {{"mAP", map}};
    if (rate > 0) made.finals.emplace_back("clips_per_s", rate);
    return add(made);
  }

  tracker::Query query() const { return tracker::Query(folder_.path() / ".exp"); }
  const std::filesystem::path& folder() const { return folder_.path(); }

 private:
  testing::TempDir folder_;
  tracker::Store store_;
  int count_ = 0;
};

}  // namespace xp::report::testing_workspace
