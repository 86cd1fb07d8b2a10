#include "core/base/stop.h"

#include <chrono>
#include <cstdio>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/cli/arguments.h"
#include "core/cli/command.h"
#include "core/cli/run_text.h"
#include "tracker/query.h"
#include "tracker/store.h"

namespace xp::cli {
namespace {

class Stop : public Command {
 public:
  void declare(Arguments& declared) override {
    declared.option("runs", runs_, "live runs: a uid or its end, a name, last").required();
    declared.flag("--wait", wait_, "return when they have stopped");
    declared.footer(
        "The run writes a checkpoint and stops with status interrupted; the same `exp run` goes on "
        "from there.\n\n"
        "Examples:\n  exp stop last\n  exp stop 3F9KQ2ZT 7HMX01AB --wait\n");
  }

  int run(Session& session) override {
    tracker::Query query = open_query(session);
    tracker::Store store(tracker_folder(session));
    std::vector<std::string> uids;
    for (const std::string& text : runs_) uids.push_back(query.find(text));
    for (const std::string& uid : uids) store.stop(uid);
    for (const std::string& uid : uids) {
      if (!session.json) fmt::print("run {} is asked to stop\n", short_uid(uid));
      std::fflush(stdout);  // said before waiting, also into a pipe
      while (wait_ && stop_requested() == StopReason::kNone) {
        query.refresh();
        if (query.run(uid).status != tracker::Status::kRunning) break;
        std::this_thread::sleep_for(std::chrono::milliseconds(200));
      }
    }
    if (session.json) fmt::print("{}", dump({{"asked", uids}}));
    return 0;
  }

 private:
  std::vector<std::string> runs_;
  bool wait_ = false;
};

}  // namespace

std::unique_ptr<Command> make_stop() { return std::make_unique<Stop>(); }

}  // namespace xp::cli
