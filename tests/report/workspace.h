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
  std::vector<double> validation_loss;                 ///< train.val.loss, one an epoch
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
    if (!made.loss.empty() || !made.validation_loss.empty()) {
      auto stage = open->begin_stage("train", "train", "k" + run.recipe_hash, {});
      const auto id = stage->metric("train.loss", Unit::kNone);
      for (size_t i = 0; i < made.loss.size(); ++i)
        stage->log(id, static_cast<int64_t>(i) + 1, made.loss[i]);
      const auto epoch = stage->metric("val.loss", Unit::kNone, tracker::Grain::kEpoch);
      const auto speed =
          stage->metric("train.clips_per_s", Unit::kPerSecond, tracker::Grain::kEpoch);
      for (size_t i = 0; i < made.validation_loss.size(); ++i) {
        stage->log(speed, static_cast<int64_t>(i) + 1, 100);
        stage->log(epoch, static_cast<int64_t>(i) + 1, made.validation_loss[i]);
      }
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

// r = 0, 8, 16 with three seeds, curves with a spike and a NaN, values per class, names that bite.
inline void fill_sweep(Workspace& workspace) {
  for (const int64_t r : {0, 8, 16}) {
    for (const int64_t seed : {0, 1, 2}) {
      Made made;
      made.name = "kd & <tome>_100%";
      made.sweep = "01SWEEPAAAAAAAAAAAAAAAAAAA";
      made.params = {param("tome.r", r), param("experiment.seed", seed),
                     param("eval.split", std::string("test"))};
      const double noise = 0.002 * static_cast<double>((seed * 7 + r) % 3);
      const double size = static_cast<double>(r);
      made.finals = {{"mAP", 0.41 - 0.0008 * size + noise},
                     {"clips_per_s", 100 + 6 * size + 10 * noise},
                     {"peak_mem_mb", 900 - size},
                     {"ap/m_0", 0.5 - 0.001 * size},
                     {"ap/m_1", 0.3 + 0.002 * size}};
      for (int i = 0; i < 3000; ++i) made.loss.push_back(2.0 / (1 + 0.01 * i) + 0.001 * size);
      made.loss[1500] = 4;
      if (r == 16) made.loss[2000] = NAN;
      workspace.add(made);
    }
  }
}

}  // namespace xp::report::testing_workspace
