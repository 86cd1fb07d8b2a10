#include <cstdlib>
#include <filesystem>
#include <map>
#include <utility>

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/log.h"
#include "core/cli/arguments.h"
#include "core/cli/command.h"
#include "core/cli/run_text.h"
#include "sweeps/command.h"
#include "tracker/compare.h"
#include "tracker/provenance.h"
#include "tracker/query.h"
#include "tracker/source_tree.h"

namespace xp::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr const char* kRecipe = "reproduced.toml";

class Reproduce : public Command {
 public:
  void declare(Arguments& declared) override {
    declared.option("run", run_, "a uid or its end, a name, last").required();
    declared.option("--into", into_, "the folder to build it in (default: reproduce-UID)");
    declared.flag("--run", start_, "run it there and compare the numbers");
    declared.option("--check", check_,
                    "build nothing: compare the numbers with those of this other run");
    declared.footer(
        "Builds the run's source tree (commit, uncommitted changes, untracked recipes) and its "
        "resolved recipe in a new\n"
        "folder with a workspace of its own, and says the command. Numbers are compared by bits; "
        "those that depend on the\n"
        "machine (throughput, latency, memory) are left out. Exit code 1 when they differ.\n\n"
        "Examples:\n  exp reproduce last\n  exp reproduce 3F9KQ2ZT --run\n  exp reproduce last-1 "
        "--check last\n");
  }

  int run(Session& session) override {
    tracker::Query query = open_query(session);
    const std::string uid = query.find(run_);
    if (!check_.empty()) return compare(session, query, uid, query, query.find(check_));
    const tracker::RunDetail detail = query.detail(uid);
    if (into_.empty()) into_ = "reproduce-" + short_uid(uid);
    const auto root = detail.facts.find("git.root");
    const tracker::Rebuilt tree =
        tracker::rebuild_source(tracker_folder(session) / "runs" / uid,
                                root == detail.facts.end() ? "" : root->second, into_);
    write_file_atomic(tree.folder / kRecipe, detail.recipe_toml);
    if (!fs::exists(tree.folder / "exp.toml")) write_file_atomic(tree.folder / "exp.toml", "");
    if (!start_) return tell(session, uid, tree, detail);
    if (!session.json) print_tree(uid, tree, detail);
    run_there(session, tree.folder, threads_of(detail));
    tracker::Query there(tree.folder / ".exp");
    return compare(session, query, uid, there, there.find("last"));
  }

 private:
  // Sums are rounded as they are shared out among threads. "" for a run of before they were noted.
  static std::string threads_of(const tracker::RunDetail& detail) {
    const auto threads = detail.facts.find("run.threads");
    return threads == detail.facts.end() ? "" : threads->second;
  }

  static std::string command(const tracker::Rebuilt& tree, const tracker::RunDetail& detail) {
    const std::string threads = threads_of(detail);
    return fmt::format("cd {} && exp run {}{}", sweeps::shell_quoted(tree.folder.string()), kRecipe,
                       threads.empty() ? "" : " --threads " + threads);
  }

  static void print_tree(const std::string& uid, const tracker::Rebuilt& tree,
                         const tracker::RunDetail& detail) {
    fmt::print("run {} is built in {}\n", short_uid(uid), tree.folder.string());
    if (tree.commit.empty()) {
      fmt::print("  its source was not under git: the recipe alone is there\n");
    } else {
      fmt::print("  commit {}{}, {} untracked files\n", tree.commit.substr(0, 12),
                 tree.diff_applied ? " with its uncommitted changes" : "", tree.untracked);
    }
    if (!tree.matches) log::warn("the tree's diff is not byte for byte the stored one");
    if (tree.left_out > 0)
      log::warn("{} untracked files were not kept with the run", tree.left_out);
    const auto build = detail.facts.find("build.id");
    if (build != detail.facts.end() && build->second != tracker::build_id()) {
      log::warn(
          "the run was made by another build of exp ({}): build that commit for the same numbers",
          build->second.substr(0, 12));
    }
  }

  static int tell(const Session& session, const std::string& uid, const tracker::Rebuilt& tree,
                  const tracker::RunDetail& detail) {
    if (session.json) {
      auto attempts = ordered_json::array();
      for (const tracker::Attempt& attempt : detail.attempts) attempts.push_back(attempt.argv);
      fmt::print("{}", dump({{"uid", uid},
                             {"folder", tree.folder.string()},
                             {"commit", tree.commit},
                             {"diff_applied", tree.diff_applied},
                             {"matches", tree.matches},
                             {"untracked", tree.untracked},
                             {"left_out", tree.left_out},
                             {"command", command(tree, detail)},
                             {"original", detail.argv},
                             {"attempts", attempts}}));
      return 0;
    }
    print_tree(uid, tree, detail);
    fmt::print("  it was started as: {}\n", fmt::join(detail.argv, " "));
    for (const tracker::Attempt& attempt : detail.attempts) {
      if (attempt.argv != detail.argv)
        fmt::print("  attempt {} as:      {}\n", attempt.number, fmt::join(attempt.argv, " "));
    }
    fmt::print("  run it again with:  {}\n", command(tree, detail));
    return 0;
  }

  static void run_there(const Session& session, const fs::path& folder,
                        const std::string& threads) {
    const std::string program = session.program.string();
    std::string there = folder.string();
    const std::string line = "cd \"$1\" && exec \"$2\" run --new \"$3\" ${4:+--threads \"$4\"}";
    const char* argv[] = {
        "sh",   "-c", line.c_str(), "sh", there.c_str(), program.c_str(), kRecipe, threads.c_str(),
        nullptr};
    pid_t pid = -1;
    const int failed =
        ::posix_spawnp(&pid, "sh", nullptr, nullptr, const_cast<char* const*>(argv), environ);
    if (failed != 0) throw Error("cannot start a shell", Exit::kFailed);
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
      throw Error(fmt::format("the run in {} did not end well", there),
                  WIFEXITED(status) ? static_cast<Exit>(WEXITSTATUS(status)) : Exit::kFailed);
    }
  }

  using Facts = std::map<std::string, std::string>;

  // What may round numbers in another way: machine, versions, threads, variables.
  static std::map<std::string, std::pair<std::string, std::string>> other_surroundings(
      const Facts& a, const Facts& b) {
    std::map<std::string, std::pair<std::string, std::string>> out;
    const auto counts = [](const std::string& key) {
      return key.starts_with("env.") || key.starts_with("version.") || key.starts_with("gpu.") ||
             key == "host.cpu" || key == "host.os" || key == "run.threads" || key == "build.id";
    };
    for (const Facts* facts : {&a, &b}) {
      for (const auto& [key, value] : *facts) {
        if (!counts(key) || key.ends_with(".uuid")) continue;
        const auto left = a.find(key), right = b.find(key);
        const std::string was = left == a.end() ? "(none)" : left->second;
        const std::string now = right == b.end() ? "(none)" : right->second;
        if (was != now) out[key] = {was, now};
      }
    }
    return out;
  }

  static int compare(const Session& session, tracker::Query& a, const std::string& uid_a,
                     tracker::Query& b, const std::string& uid_b) {
    const auto matches = tracker::compare_metrics(a, uid_a, b, uid_b);
    size_t same = 0;
    auto out = ordered_json::array();
    TextTable table{
        {"metric", "same steps", "only first", "only second", "different", "largest difference"},
        {}};
    for (const auto& m : matches) {
      same += m.same() ? 1 : 0;
      out.push_back({{"metric", m.name},
                     {"points", m.points},
                     {"only_a", m.only_a},
                     {"only_b", m.only_b},
                     {"different", m.different},
                     {"largest", number_json(m.largest)}});
      if (m.same()) continue;
      table.rows.push_back({m.name, fmt::format("{}", m.points), fmt::format("{}", m.only_a),
                            fmt::format("{}", m.only_b), fmt::format("{}", m.different),
                            short_number(m.largest)});
    }
    const bool all = same == matches.size();
    const auto surroundings = other_surroundings(a.detail(uid_a).facts, b.detail(uid_b).facts);
    if (session.json) {
      auto differ = ordered_json::array();
      for (const auto& [key, values] : surroundings)
        differ.push_back({{"key", key}, {"a", values.first}, {"b", values.second}});
      fmt::print("{}", dump({{"a", uid_a},
                             {"b", uid_b},
                             {"same", all},
                             {"metrics", out},
                             {"environment", differ}}));
    } else {
      for (const auto& [key, values] : surroundings)
        fmt::print("environment differs: {} {} -> {}\n", key, values.first, values.second);
      if (!table.rows.empty()) fmt::print("{}", table.text());
      fmt::print("{} of {} metrics of {} and {} are the same, bit for bit\n", same, matches.size(),
                 short_uid(uid_a), short_uid(uid_b));
    }
    return all ? 0 : static_cast<int>(Exit::kFailed);
  }

  std::string run_, into_, check_;
  bool start_ = false;
};

}  // namespace

std::unique_ptr<Command> make_reproduce() { return std::make_unique<Reproduce>(); }

}  // namespace xp::cli
