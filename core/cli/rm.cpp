#include <iostream>

#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/cli/arguments.h"
#include "core/cli/command.h"
#include "core/cli/run_text.h"
#include "tracker/query.h"
#include "tracker/store.h"

namespace xp::cli {
namespace {

class Rm : public Command {
 public:
  void declare(Arguments& declared) override {
    declared.option("runs", runs_, "a uid or its end, a name, last");
    declared.option("--filter", filter_, "every run that matches, as in `exp runs`");
    declared.flag("-y,--yes", yes_, "do not ask");
    declared.footer(
        "Removes runs with their metrics, logs and notes. What their stages made stays in the "
        "cache until `exp gc`.\n\n"
        "Examples:\n  exp rm 3F9KQ2ZT\n  exp rm --filter 'status=failed and age>30d'\n");
  }

  int run(Session& session) override {
    tracker::Query query = open_query(session);
    std::vector<std::string> uids;
    for (const std::string& text : runs_) uids.push_back(query.find(text));
    if (!filter_.empty()) {
      for (const auto& run : query.runs({.filter = filter_, .keys = std::vector<std::string>{}}))
        uids.push_back(run.uid);
    }
    if (runs_.empty() && filter_.empty()) throw Error("give runs or --filter; see `exp rm --help`");
    if (!uids.empty() && !yes_ && !confirmed(query, uids)) return 0;
    tracker::Store store(tracker_folder(session));
    for (const std::string& uid : uids) store.remove(uid);
    if (session.json) {
      fmt::print("{}", dump({{"removed", uids}}));
    } else {
      fmt::print("{} removed\n", run_count(uids.size()));
    }
    return 0;
  }

 private:
  static bool confirmed(tracker::Query& query, const std::vector<std::string>& uids) {
    if (::isatty(STDIN_FILENO) == 0)
      throw Error(fmt::format("{} would be removed: say --yes", run_count(uids.size())));
    TextTable table{{"uid", "name", "status", "age"}, {}};
    for (const auto& run : query.runs({.uids = uids, .keys = std::vector<std::string>{}})) {
      table.rows.push_back({short_uid(run.uid), run.name, std::string(tracker::text(run.status)),
                            age_text(run.created_ns)});
    }
    fmt::print("{}Remove {} for good? [y/N] ", table.text(), run_count(uids.size()));
    std::fflush(stdout);
    std::string answer;
    std::getline(std::cin, answer);
    return answer == "y" || answer == "yes" || answer == "Y";
  }

  std::vector<std::string> runs_;
  std::string filter_;
  bool yes_ = false;
};

}  // namespace

std::unique_ptr<Command> make_rm() { return std::make_unique<Rm>(); }

}  // namespace xp::cli
