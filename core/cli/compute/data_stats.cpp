// exp data stats and exp data verify: what is in the shards.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/progress.h"
#include "core/base/stop.h"
#include "core/cli/compute/data_parts.h"
#include "data/overlap.h"
#include "data/stats.h"
#include "data/verify.h"

namespace xp::cli {
namespace {

using Json = nlohmann::ordered_json;

data::StatsJob job_with(Progress& bar, int threads) {
  data::StatsJob job;
  job.threads = threads;
  job.check = [] { throw_if_stopped(); };
  job.progress = [&bar, shown = int64_t{0}](std::string_view, double done, double) mutable {
    bar.add(static_cast<int64_t>(done) - shown);
    shown = static_cast<int64_t>(done);
  };
  return job;
}

Json to_json(const data::SplitSummary& s, const std::vector<data::ClassInfo>& classes,
             bool per_class) {
  Json out = {{"clips", s.clips},
              {"seconds", s.seconds},
              {"shortest_s", s.shortest_s},
              {"longest_s", s.longest_s},
              {"peak_db", s.peak_db},
              {"mean_rms_db", s.mean_rms_db},
              {"silent", s.silent},
              {"clipped", s.clipped},
              {"above_full_scale", s.above},
              {"above_db", s.above_db},
              {"labels_per_clip", s.labels_a_clip}};
  if (per_class) {
    for (size_t k = 0; k < classes.size(); ++k)
      out["class_clips"][classes[k].id] = s.class_clips[k];
  }
  return out;
}

void print_table(const std::vector<std::pair<std::string, data::SplitSummary>>& splits,
                 const std::vector<data::ClassInfo>& classes, bool per_class) {
  fmt::print("{:<6} {:>9} {:>9} {:>15} {:>9} {:>9} {:>7} {:>8} {:>7} {:>8}\n", "split", "clips",
             "hours", "shortest..long", "peak dB", "level dB", "silent", "clipped", "labels",
             "classes");
  for (const auto& [name, s] : splits) {
    int64_t seen = 0;
    for (const int64_t n : s.class_clips) seen += n > 0;
    fmt::print(
        "{:<6} {:>9} {:>9.2f} {:>6.2f}..{:<6.2f}s {:>9.1f} {:>9.1f} {:>7} {:>8} {:>7.2f} {:>8}\n",
        name, s.clips, s.seconds / 3600, s.shortest_s, s.longest_s, s.peak_db, s.mean_rms_db,
        s.silent, s.clipped, s.labels_a_clip, seen);
  }
  for (const auto& [name, s] : splits) {
    if (s.above > 0)
      fmt::print(
          "{}: {} of {} clips go above full scale, by up to {:.2f} dB; they are stored with a "
          "scale\n",
          name, s.above, s.clips, s.above_db);
  }
  if (!per_class) return;
  fmt::print("\n{:>5}  {:<30}", "class", "name");
  for (const auto& split : splits) fmt::print(" {:>8}", split.first);
  fmt::print("\n");
  for (size_t k = 0; k < classes.size(); ++k) {
    fmt::print("{:>5}  {:<30.30}", k, classes[k].name);
    for (const auto& split : splits) fmt::print(" {:>8}", split.second.class_clips[k]);
    fmt::print("\n");
  }
}

}  // namespace

int data_stats(const DataArguments& arguments, const Session& session) {
  const ChosenData chosen = choose_data(arguments, session);
  const auto shards = chosen.open();
  std::vector<std::pair<std::string, data::SplitSummary>> splits;
  Json out = Json::object();
  for (const char* role : {"train", "val", "test"}) {
    const auto rows = data::rows_of_split(*shards, chosen.dataset, role);
    if (rows.empty()) continue;
    Progress bar(fmt::format("levels of {}", role), static_cast<int64_t>(rows.size()), "clips");
    splits.emplace_back(
        role, data::summarise(*shards, rows, job_with(bar, chosen.workspace.resources.threads)));
    bar.finish();
    out[role] = to_json(splits.back().second, shards->classes(), arguments.per_class);
  }
  const std::vector<std::string> shared = data::overlap_warnings(*shards, chosen.dataset);
  if (!shared.empty()) out["warnings"] = shared;
  if (!session.json) {
    print_table(splits, shards->classes(), arguments.per_class);
    for (const std::string& line : shared) fmt::print("{}\n", line);
  }
  const auto rows = data::rows_of_split(*shards, chosen.dataset, "train");
  const auto norm = [&](const char* key, const auto& compute) {
    Progress bar("log-mel", static_cast<int64_t>(rows.size()), "clips");
    const ops::NormStats stats = compute(job_with(bar, chosen.workspace.resources.threads));
    bar.finish();
    out[key] = {{"norm_mean", stats.mean}, {"norm_std", stats.std}};
    if (!session.json)
      fmt::print("{}: frontend.norm_mean = {:.7g}, frontend.norm_std = {:.7g}\n", key, stats.mean,
                 stats.std);
  };
  if (arguments.norm) {
    norm("norm", [&](const data::StatsJob& job) {
      return data::norm_stats(*shards, rows, chosen.frontend, job);
    });
  }
  if (arguments.ast_norm) {
    norm("ast_norm", [&](const data::StatsJob& job) {
      return data::ast_norm_stats(shards, rows, chosen.frontend, chosen.augment, chosen.seed, job);
    });
  }
  if (session.json) fmt::print("{}\n", out.dump(1));
  return 0;
}

int data_verify(const DataArguments& arguments, const Session& session) {
  std::filesystem::path folder = arguments.folder;
  int threads = 0;
  if (folder.empty()) {
    const ChosenData chosen = choose_data(arguments, session);
    chosen.open();
    folder = chosen.prepared;
    threads = chosen.workspace.resources.threads;
  } else {
    threads = run::load_workspace(session.workspace()).resources.threads;
  }
  std::unique_ptr<Progress> bar;
  const data::Verified verified =
      data::verify(folder, threads, [&, shown = int64_t{0}](int64_t done, int64_t total) mutable {
        throw_if_stopped();
        if (!bar) bar = std::make_unique<Progress>("verify", total, "clips");
        bar->add(done - shown);
        shown = done;
      });
  bar.reset();
  if (session.json) {
    fmt::print("{}\n", Json({{"folder", folder.string()},
                             {"clips", verified.clips},
                             {"shards", verified.shards},
                             {"faults", verified.faults}})
                           .dump(1));
  } else {
    for (const std::string& fault : verified.faults) fmt::print("{}\n", fault);
    fmt::print("{}: {} clips in {} shards, {} damaged\n", folder.string(), verified.clips,
               verified.shards, verified.faults.size());
  }
  return verified.faults.empty() ? 0 : static_cast<int>(Exit::kData);
}

}  // namespace xp::cli
