// What a report of many runs costs: reading, comparing, drawing, writing one HTML page.
//
//   report_bench [RUNS=1000] [FOLDER]
//
// Makes RUNS runs (20 parameters, curves of 200 steps, 30 final values) in FOLDER (a temporary one
// by default; kept and used again when named), then makes the page five times, each with a fresh
// Query, and prints the median seconds. Last line JSON. Goal: under 3 s for 1,000 runs.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include <unistd.h>

#include <fmt/format.h>

#include "core/report/comparison.h"
#include "core/report/figures.h"
#include "core/report/html.h"
#include "tracker/query.h"
#include "tracker/store.h"

namespace fs = std::filesystem;
namespace tracker = xp::tracker;
namespace report = xp::report;

namespace {

void make_run(tracker::Store& store, int i) {
  tracker::NewRun run;
  run.name = "bench";
  run.recipe_hash = fmt::format("{}", i);
  run.sweep = "01BENCHAAAAAAAAAAAAAAAAAAA";
  const int64_t r = i % 10 * 8, seed = i / 50;
  const double lambda = 0.1 + 0.2 * (i / 10 % 5);
  run.params = {
      {"tome.r", r, "--set"}, {"kd.lambda", lambda, "--set"}, {"experiment.seed", seed, "--set"}};
  for (int64_t k = 0; k < 17; ++k)
    run.params.push_back({fmt::format("model.key{}", k), k, "default"});
  tracker::RunOptions options;
  options.provenance = false;
  options.system = std::chrono::milliseconds(0);
  auto open = store.create(run, options);
  auto stage = open->begin_stage("train", "train", run.recipe_hash, {});
  const auto loss = stage->metric("train.loss", tracker::Unit::kNone);
  for (int step = 1; step <= 200; ++step) stage->log(loss, step, 2.0 / std::sqrt(step + i % 7));
  stage->finished(tracker::Outcome::kDone, "");
  auto eval = open->begin_stage("eval", "evaluate", "e" + run.recipe_hash, {});
  const double noise = 0.002 * std::sin(i * 12.9898);
  eval->summary("mAP", 0.45 - 1e-5 * static_cast<double>(r * r) + 0.02 * lambda + noise,
                tracker::Unit::kFraction);
  eval->summary("clips_per_s", 100 + 2.0 * static_cast<double>(r) + 100 * noise,
                tracker::Unit::kPerSecond);
  eval->summary("peak_mem_mb", 900 - static_cast<double>(r), tracker::Unit::kMebibytes);
  for (int k = 0; k < 27; ++k)
    eval->summary(fmt::format("ap/m_{}", k), 0.3 + 0.01 * k + noise, tracker::Unit::kFraction);
  eval->finished(tracker::Outcome::kDone, "");
  open->finish(tracker::Outcome::kDone, "", "", 0);
}

}  // namespace

int main(int argc, char** argv) {
  const int runs = argc > 1 ? std::atoi(argv[1]) : 1000;
  const bool keep = argc > 2;
  const fs::path folder =
      keep ? fs::path(argv[2])
           : fs::temp_directory_path() / fmt::format("report_bench.{}", getpid());
  if (!fs::exists(folder / ".exp")) {
    tracker::Store store(folder / ".exp");
    for (int i = 0; i < runs; ++i) make_run(store, i);
  }
  { tracker::Query first(folder / ".exp"); }  // the index is made once, by the first reader
  std::vector<double> seconds;
  size_t bytes = 0, figures = 0;
  for (int i = 0; i < 5; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    tracker::Query query(folder / ".exp");
    const report::Comparison comparison = report::compare(query, {});
    const auto drawn = report::make_figures(query, comparison);
    bytes = report::render_html(comparison, drawn).size();
    figures = drawn.size();
    seconds.push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  std::sort(seconds.begin(), seconds.end());
  fmt::print("{} runs: {:.2f} s (least {:.2f}, most {:.2f}), {} charts, {} kB\n", runs, seconds[2],
             seconds.front(), seconds.back(), figures, bytes / 1000);
  fmt::print("{{\"runs\": {}, \"html_s\": {:.3f}, \"goal_s\": 3}}\n", runs, seconds[2]);
  if (!keep) fs::remove_all(folder);
  return 0;
}
