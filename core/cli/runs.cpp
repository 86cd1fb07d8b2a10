#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/cli/arguments.h"
#include "core/cli/command.h"
#include "core/cli/run_text.h"
#include "tracker/export.h"
#include "tracker/query.h"

namespace xp::cli {
namespace {

constexpr size_t kShownParams = 4, kShownMetrics = 4;

class Runs : public Command {
 public:
  void declare(Arguments& declared) override {
    declared.option("filter", filter_, "which runs: status=done and tome.r>=16 and eval.mAP>0.4");
    declared
        .option("--sort", sort_,
                "keys, the first counts most; -KEY = largest first (default: newest first)")
        .comma_separated();
    declared.option("--columns", columns_, "fields, parameters and metrics to show")
        .comma_separated();
    declared.option("--limit", limit_, "at most so many runs (0 = all)").range(0, 1'000'000'000);
    declared.flag("--keys", keys_, "list what filters, --sort and --columns may name");
    declared
        .option("--export", export_,
                "write the runs to a folder: csv, jsonl, tb or mlflow, then DIR")
        .expected(2);
    declared.footer(
        "A filter compares fields (status, name, tag, age, duration, host, ...), parameters and "
        "metrics with\n"
        "= != < <= > >= ~ (contains) and in (...), joined by and, or, not; docs/filters.md.\n\n"
        "Examples:\n"
        "  exp runs\n"
        "  exp runs 'status=done and tome.r>=16 and eval.mAP>0.4' --sort -eval.mAP\n"
        "  exp runs 'tag=kd and age<7d' --columns uid,name,kd.lambda,eval.mAP --json\n"
        "  exp runs 'sweep!=\"\"' --export csv exported/\n");
  }

  int run(Session& session) override {
    tracker::Query query = open_query(session);
    if (keys_) return list_keys(session, query);
    tracker::Selection selection{.filter = filter_, .sort = sort_, .limit = limit_};
    if (!export_.empty()) return write(session, query, selection);
    if (!columns_.empty()) selection.keys = known_columns(query);
    const std::vector<tracker::RunInfo> runs = query.runs(selection);
    if (session.json) return print_json(runs);
    if (columns_.empty()) columns_ = choose_columns(query, runs);
    TextTable table{columns_, {}};
    for (const tracker::RunInfo& run : runs) {
      auto& row = table.rows.emplace_back();
      for (const std::string& column : columns_) row.push_back(column_text(run, column));
    }
    fmt::print("{}", table.text());
    if (runs.empty()) fmt::print("{}\n", filter_.empty() ? "no run yet" : "no run matches");
    return 0;
  }

 private:
  static int list_keys(const Session& session, tracker::Query& query) {
    const std::vector<std::string> keys = query.keys();
    if (session.json) {
      fmt::print("{}", dump(nlohmann::ordered_json(keys)));
      return 0;
    }
    for (const std::string& key : keys) fmt::print("{}\n", key);
    return 0;
  }

  int write(const Session& session, tracker::Query& query,
            const tracker::Selection& selection) const {
    const auto format = tracker::export_format(export_[0]);
    const tracker::Exported done =
        tracker::export_runs(query, query.runs(selection), format, export_[1]);
    if (session.json) {
      fmt::print("{}",
                 dump({{"runs", done.runs}, {"points", done.points}, {"folder", export_[1]}}));
    } else {
      fmt::print("{} with {} points {} in {}\n", run_count(done.runs), done.points,
                 done.runs == 1 ? "is" : "are", export_[1]);
    }
    return 0;
  }

  /// Throws for a column that is nothing.
  std::vector<std::string> known_columns(tracker::Query& query) const {
    const std::vector<std::string> known = query.keys();
    for (const std::string& column : columns_) {
      if (column == "tags" || std::binary_search(known.begin(), known.end(), column)) continue;
      const std::string guess = nearest(column, known);
      throw Error(fmt::format("no run has '{}'{}; `exp runs --keys` lists what there is", column,
                              did_you_mean(guess)));
    }
    return columns_;
  }

  static int print_json(const std::vector<tracker::RunInfo>& runs) {
    auto out = nlohmann::ordered_json::array();
    for (const tracker::RunInfo& run : runs) out.push_back(run_json(run));
    fmt::print("{}", dump(out));
    return 0;
  }

  /// What tells the runs apart, and how they did.
  static std::vector<std::string> choose_columns(tracker::Query& query,
                                                 const std::vector<tracker::RunInfo>& runs) {
    std::vector<std::string> out = {"uid", "name", "status", "age", "duration"};
    if (std::any_of(runs.begin(), runs.end(), [](const auto& run) { return !run.tags.empty(); }))
      out.emplace_back("tags");
    if (runs.size() > 1) {
      std::vector<std::string> uids;
      for (const auto& run : runs) uids.push_back(run.uid);
      size_t shown = 0;
      for (const tracker::Difference& difference : query.differing(uids)) {
        if (difference.key.starts_with("experiment.") && difference.key != "experiment.seed")
          continue;
        if (shown++ < kShownParams) out.push_back(difference.key);
      }
    }
    for (const std::string& name : headline_metrics(runs, kShownMetrics)) out.push_back(name);
    return out;
  }

  std::string filter_;
  std::vector<std::string> sort_, columns_, export_;
  size_t limit_ = 0;
  bool keys_ = false;
};

}  // namespace

std::unique_ptr<Command> make_runs() { return std::make_unique<Runs>(); }

}  // namespace xp::cli
