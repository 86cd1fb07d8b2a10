#pragma once

#include <string>

#include "tracker/query.h"
#include "tracker/store.h"

/// Runs for the tracker's tests.
namespace xp::tracker::testing_runs {

/// No provenance, no system metrics: what a test does not ask for costs it time.
inline RunOptions quiet() {
  RunOptions options;
  options.provenance = false;
  options.system = std::chrono::milliseconds(0);
  return options;
}

inline NewRun sample(const std::string& name, int64_t r) {
  NewRun run;
  run.name = name;
  run.recipe_path = "recipes/" + name + ".toml";
  run.recipe_hash = "hash-" + name;
  run.recipe_toml = "tome.r = " + std::to_string(r) + "\n";
  run.params = {{"tome.r", r, "--set"},
                {"optimiser.lr", 2.5e-4, "kd.toml:3:1"},
                {"kd.enabled", true, "default"},
                {"model.arch", std::string("ast-nano"), "default"},
                {"optimiser.betas", Json{"[0.9,0.999]"}, "default"}};
  run.tags = {"kd"};
  run.argv = {"exp", "run", "kd.toml"};
  return run;
}

/// A finished run with one final value.
inline std::string finished_run(Store& store, const std::string& name, int64_t r, double map) {
  auto run = store.create(sample(name, r), quiet());
  auto stage = run->begin_stage("eval", "evaluate", "key", {});
  stage->summary("mAP", map, Unit::kFraction);
  stage->finished(Outcome::kDone, "");
  run->finish(Outcome::kDone, "", "", 0);
  return run->uid();
}

}  // namespace xp::tracker::testing_runs
