// What the tracker costs a training loop, and how long its questions take. bench/tracker/run.sh
// says how to use it.
//   tracker_bench log DIR N        N points of one metric, as fast as the loop can
//   tracker_bench step DIR MS      2000 steps of MS milliseconds of work, 10 metrics each
//   tracker_bench fill DIR RUNS    a workspace of RUNS runs: 30 parameters, 6 metrics, 1000 points
//   tracker_bench query DIR        list all, differences over all, 100 curves of a filled workspace
// Each prints one line of JSON.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <vector>

#include "core/base/clock.h"
#include "core/base/files.h"
#include "tracker/query.h"
#include "tracker/schema.h"
#include "tracker/store.h"

namespace fs = std::filesystem;
using namespace xp::tracker;

namespace {

RunOptions plain() {
  RunOptions options;
  options.provenance = false;
  options.system = std::chrono::milliseconds(0);
  return options;
}

double writer_cpu_seconds(const fs::path& folder, const std::string& uid) {
  Query query(folder);
  return std::strtod(query.detail(uid).facts.at("tracker.writer_cpu_s").c_str(), nullptr);
}

int log_points(const fs::path& folder, int64_t n) {
  std::vector<uint32_t> took(static_cast<size_t>(n));
  const int64_t start = xp::steady_ns();
  auto run = Store(folder).create({.name = "bench"}, plain());
  const MetricId id = run->metric("loss", Unit::kNone);
  const int64_t loop = xp::steady_ns();
  int64_t before = loop;
  for (int64_t i = 0; i < n; ++i) {
    run->log(id, i, static_cast<double>(i));
    const int64_t now = xp::steady_ns();
    took[static_cast<size_t>(i)] =
        static_cast<uint32_t>(std::min<int64_t>(now - before, UINT32_MAX));
    before = now;
  }
  const int64_t looped = xp::steady_ns() - loop;
  run->finish(Outcome::kDone, "", "", 0);
  const int64_t total = xp::steady_ns() - start;
  const bool lost = run->losses().any();
  std::sort(took.begin(), took.end());
  const auto at = [&](double p) {
    return took[static_cast<size_t>(p * static_cast<double>(n - 1))];
  };
  const double points = static_cast<double>(n);
  std::printf(
      "{\"p50_ns\": %u, \"p99_ns\": %u, \"p999_ns\": %u, \"max_ns\": %u, \"call_s\": %.4g, "
      "\"stored_s\": %.4g, "
      "\"writer_cpu_us\": %.4f, \"lost\": %s}\n",
      at(0.5), at(0.99), at(0.999), took.back(), static_cast<double>(looped) * 1e-9 / points,
      static_cast<double>(total) * 1e-9 / points,
      writer_cpu_seconds(folder, run->uid()) * 1e6 / points, lost ? "true" : "false");
  return lost ? 1 : 0;
}

double thread_cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

/// `ms` milliseconds of CPU time of this thread.
double burn(double ms) {
  double sum = 0;
  const double until = thread_cpu_seconds() + ms * 1e-3;
  while (thread_cpu_seconds() < until) {
    for (int i = 1; i < 2000; ++i) sum += std::sqrt(static_cast<double>(i));
  }
  return sum;
}

int log_steps(const fs::path& folder, double ms) {
  constexpr int kSteps = 2000, kMetrics = 10;
  auto run = Store(folder).create({.name = "bench"}, plain());
  std::vector<MetricId> ids;
  for (int m = 0; m < kMetrics; ++m)
    ids.push_back(run->metric("m" + std::to_string(m), Unit::kNone));
  double sum = 0;
  double logging = 0;
  for (int step = 0; step < kSteps; ++step) {
    sum += burn(ms);
    const double start = thread_cpu_seconds();
    for (const MetricId id : ids) run->log(id, step, sum);
    logging += thread_cpu_seconds() - start;
  }
  run->finish(Outcome::kDone, "", "", 0);
  const double writer = writer_cpu_seconds(folder, run->uid());
  std::printf(
      "{\"step_ms\": %.3f, \"logging_us_per_step\": %.3f, \"writer_cpu_us_per_step\": %.3f, "
      "\"percent\": %.4f}\n",
      ms, logging * 1e6 / kSteps, writer * 1e6 / kSteps,
      100 * (logging + writer) / (kSteps * ms * 1e-3));
  return 0;
}

int fill(const fs::path& folder, int runs) {
  Store store(folder);
  NewRun first{.name = "filled", .recipe_hash = "h"};
  for (int i = 0; i < 30; ++i)
    first.params.push_back({"section.key" + std::to_string(i), int64_t{i}, "default"});
  auto run = store.create(first, plain());
  auto stage = run->begin_stage("train", "train", "k", {});
  const MetricId loss = stage->metric("loss", Unit::kNone);
  for (int64_t step = 0; step < 1000; ++step)
    stage->log(loss, step, 1.0 / static_cast<double>(step + 1));
  for (const char* name : {"mAP", "auc", "acc", "clips_per_s", "d_prime"})
    stage->summary(name, 0.5, Unit::kFraction);
  run->finish(Outcome::kDone, "", "", 0);
  const std::string model = run->uid();
  run.reset();
  for (int i = 1; i < runs; ++i) {
    const std::string uid = xp::make_ulid();
    fs::create_directories(store.run_folder(uid));
    fs::copy_file(store.run_folder(model) / "run.db", store.run_folder(uid) / "run.db");
    auto db = sql::Database::open(store.run_folder(uid) / "run.db", kRunSchema);
    db.exec("PRAGMA synchronous=OFF");
    db.prepare("UPDATE run SET uid=?").run(uid);
    db.prepare(
          "UPDATE param SET value=? WHERE key IN ('section.key0','section.key1','section.key2')")
        .run(i % 7);
    db.prepare("UPDATE summary SET last=? WHERE metric_id=2")
        .run(static_cast<double>(i % 1000) * 1e-3);
    db.settle();
  }
  std::printf("{\"runs\": %d}\n", runs);
  return 0;
}

template <class Work>
double best_ms(int times, const Work& work) {
  double best = 1e300;
  for (int i = 0; i < times; ++i) {
    const int64_t start = xp::steady_ns();
    work();
    best = std::min(best, static_cast<double>(xp::steady_ns() - start) * 1e-6);
  }
  return best;
}

int ask(const fs::path& folder) {
  const double index = best_ms(1, [&] { const Query query(folder); });
  size_t runs = 0, differences = 0, points = 0;
  // Each with opening the workspace and looking for changes, as a command does.
  const double list = best_ms(5, [&] {
    Query query(folder);
    runs = query.runs({.keys = std::vector<std::string>{"train.mAP", "train.loss", "section.key0"}})
               .size();
  });
  const double filter = best_ms(5, [&] {
    Query query(folder);
    query.runs({.filter = "status=done and section.key0>=3 and train.mAP>0.4",
                .sort = {"-train.mAP"},
                .limit = 20,
                .keys = std::vector<std::string>{"train.mAP"}});
  });
  const double differ = best_ms(5, [&] {
    Query query(folder);
    differences = query.differing({}).size();
  });
  Query query(folder);
  std::vector<std::string> uids;
  for (const RunInfo& run : query.runs({.limit = 100, .keys = std::vector<std::string>{}}))
    uids.push_back(run.uid);
  const double curves = best_ms(5, [&] {
    points = 0;
    for (const Curve& curve : query.curves(uids, {"train.loss"})) points += curve.points.size();
  });
  std::printf(
      "{\"list_s\": %.6f, \"runs\": %zu, \"index_ms\": %.1f, \"list_ms\": %.1f, \"top20_ms\": "
      "%.1f, \"diff_ms\": "
      "%.1f, \"differing\": %zu, "
      "\"curves_ms\": %.1f, \"points\": %zu}\n",
      list * 1e-3, runs, index, list, filter, differ, differences, curves, points);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const std::string mode = argv[1];
  const fs::path folder = fs::path(argv[2]) / ".exp";
  if (mode == "log") return log_points(folder, argc > 3 ? std::atoll(argv[3]) : 1000000);
  if (mode == "step") return log_steps(folder, argc > 3 ? std::atof(argv[3]) : 10);
  if (mode == "fill") return fill(folder, argc > 3 ? std::atoi(argv[3]) : 10000);
  if (mode == "query") return ask(folder);
  return 2;
}
