#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/cli/arguments.h"
#include "core/cli/command.h"
#include "core/cli/workspace.h"
#include "core/graph/uses.h"
#include "tracker/objects.h"

namespace xp::cli {
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
    declared.flag("--dry-run", dry_run_, "say what would be removed");
    declared.footer(
        "Removes cached stages and artifacts that no run, sweep or queued run refers "
        "to.\n\nExamples:\n  exp gc "
        "--dry-run\n  exp gc\n");
  }

  int run(Session& session) override {
    const Workspace workspace = load_workspace(session);
    auto garbage = graph::collect_garbage(graph::Cache(workspace.cache),
                                          workspace.exp_folder() / "runs", !dry_run_);
    for (const auto& object : tracker::unreferenced_objects(workspace.exp_folder())) {
      if (!dry_run_) std::filesystem::remove(object.path);
      const std::string digest =
          object.path.parent_path().filename().string() + object.path.filename().string();
      garbage.push_back(
          {object.path, "artifact " + digest.substr(0, 12), static_cast<uint64_t>(object.bytes)});
    }
    if (session.json) {
      print_json(garbage);
      return 0;
    }
    uint64_t bytes = 0;
    for (const graph::Garbage& item : garbage) {
      fmt::print("{:>9}  {}\n", size_text(item.bytes), item.what);
      bytes += item.bytes;
    }
    fmt::print("{}: {} in {} item{}\n", dry_run_ ? "would be removed" : "removed", size_text(bytes),
               garbage.size(), garbage.size() == 1 ? "" : "s");
    return 0;
  }

 private:
  void print_json(const std::vector<graph::Garbage>& garbage) const {
    nlohmann::ordered_json items = nlohmann::ordered_json::array();
    for (const graph::Garbage& item : garbage) {
      items.push_back({{"path", item.path.string()}, {"what", item.what}, {"bytes", item.bytes}});
    }
    fmt::print("{}\n", nlohmann::ordered_json({{"removed", !dry_run_}, {"items", items}}).dump(1));
  }

  bool dry_run_ = false;
};

}  // namespace

std::unique_ptr<Command> make_gc() { return std::make_unique<Gc>(); }

}  // namespace xp::cli
