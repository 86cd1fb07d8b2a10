#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/files.h"
#include "core/base/log.h"
#include "core/cli/arguments.h"
#include "core/cli/command.h"
#include "core/graph/garbage.h"
#include "core/graph/trash.h"
#include "core/run/workspace.h"
#include "tracker/objects.h"

namespace xp::cli {
namespace fs = std::filesystem;
namespace {

std::string size_text(uint64_t bytes) {
  const char* units[] = {"B", "kB", "MB", "GB", "TB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1000 && unit + 1 < std::size(units)) {
    value /= 1000;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, units[unit]);
}

class Gc final : public Command {
 public:
  void declare(Arguments& declared) override {
    const Option dry_run = declared.flag("--dry-run", dry_run_, "say what would be removed");
    declared.flag("--now", now_, "empty the trash at once").excludes(dry_run);
    declared.flag("--adopt", how_.adopt,
                  "mark the folder as a cache of exp, and say that no workspace uses it that it "
                  "does not know");
    declared.option("--forget", forget_, "a workspace that used the cache and is gone for good")
        .take_all();
    declared.footer(fmt::format(
        "Moves cached stages and artifacts that no run, sweep or queued run of a workspace refers "
        "to into a trash folder beside them, which is emptied after {} days.\n\nExamples:\n  exp "
        "gc "
        "--dry-run\n  exp gc\n  exp gc --now\n",
        graph::Trash::kDays));
  }

  int run(Session& session) override {
    const run::Workspace workspace = run::load_workspace(session.workspace());
    const fs::path folder = workspace.exp_folder();
    how_.move = !dry_run_;
    for (const std::string& gone : forget_) how_.forget.emplace_back(expand_user(gone));
    // Asked first: where a run cannot be read, nothing is removed.
    const auto objects = tracker::unreferenced_objects(folder);
    graph::Collected collected =
        graph::collect_garbage(graph::Cache(workspace.cache), folder, how_);
    std::vector<graph::Garbage> others = graph::left_by_kills(folder);
    for (const auto& object : objects) {
      const std::string digest =
          object.path.parent_path().filename().string() + object.path.filename().string();
      others.push_back(
          {object.path, "artifact " + digest.substr(0, 12), static_cast<uint64_t>(object.bytes)});
    }
    graph::Trash trash(folder);
    for (graph::Garbage& item : others) {
      if (how_.move) trash.take(item.path);
      collected.items.push_back(std::move(item));
    }
    uint64_t emptied = 0;
    if (how_.move) {
      emptied = graph::Trash(workspace.cache).empty(now_) + graph::Trash(folder).empty(now_);
    }
    print(session, collected, emptied);
    return 0;
  }

 private:
  void print(const Session& session, const graph::Collected& collected, uint64_t emptied) const {
    for (const std::string& note : collected.notes) log::warn("{}", note);
    if (session.json) {
      print_json(collected, emptied);
      return;
    }
    uint64_t bytes = 0;
    for (const graph::Garbage& item : collected.items) {
      fmt::print("{:>9}  {}\n", size_text(item.bytes), item.what);
      bytes += item.bytes;
    }
    const size_t count = collected.items.size();
    fmt::print("{}: {} in {} item{}{}\n", dry_run_ ? "would be removed" : "removed",
               size_text(bytes), count, count == 1 ? "" : "s",
               dry_run_ || now_ || count == 0
                   ? ""
                   : fmt::format(", in the trash for {} days (`exp gc --now` empties it)",
                                 graph::Trash::kDays));
    if (emptied > 0) fmt::print("trash: {} removed\n", size_text(emptied));
  }

  void print_json(const graph::Collected& collected, uint64_t emptied) const {
    nlohmann::ordered_json items = nlohmann::ordered_json::array();
    for (const graph::Garbage& item : collected.items) {
      items.push_back({{"path", item.path.string()}, {"what", item.what}, {"bytes", item.bytes}});
    }
    const nlohmann::ordered_json out = {{"removed", !dry_run_},
                                        {"items", items},
                                        {"kept", collected.notes},
                                        {"trash_emptied_bytes", emptied}};
    fmt::print("{}\n", out.dump(1, ' ', false, nlohmann::json::error_handler_t::replace));
  }

  bool dry_run_ = false, now_ = false;
  std::vector<std::string> forget_;
  graph::Collecting how_;
};

}  // namespace

std::unique_ptr<Command> make_gc() { return std::make_unique<Gc>(); }

}  // namespace xp::cli
