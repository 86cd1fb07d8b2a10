#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/stop.h"
#include "core/cli/arguments.h"
#include "core/cli/command.h"
#include "core/cli/run_text.h"
#include "tracker/query.h"

namespace xp::cli {
namespace {

namespace fs = std::filesystem;

class Logs : public Command {
 public:
  void declare(Arguments& declared) override {
    declared.option("run", run_, "a uid or its end, a name, last, last-1").required();
    declared.flag("-f,--follow", follow_, "go on as lines come, until the run ends");
    declared.option("--rank", rank_, "of this process of a run on several devices (default 0)");
    declared.flag("--events", events_,
                  "what the tracker noted, with its time, instead of the output");
    declared.footer(
        "Examples:\n  exp logs last -f\n  exp logs 3F9KQ2ZT --rank 3\n  exp logs last --events\n");
  }

  int run(Session& session) override {
    tracker::Query query = open_query(session);
    const std::string uid = query.find(run_);
    if (events_ || session.json) return print_events(session, query, uid);
    const fs::path file =
        tracker_folder(session) / "runs" / uid / "files" / fmt::format("output.{}.log", rank_);
    std::error_code none;
    if (!fs::exists(file, none) && !follow_) {
      throw Error(fmt::format("run {} has no output of rank {}: {} is not there", short_uid(uid),
                              rank_, file.string()),
                  Exit::kData);
    }
    std::streamoff at = 0;
    while (true) {
      query.refresh();
      const bool live = query.run(uid).status == tracker::Status::kRunning;
      at = print_from(file, at);
      if (!follow_ || !live || stop_requested() != StopReason::kNone) return 0;
      std::this_thread::sleep_for(std::chrono::milliseconds(300));
    }
  }

 private:
  static std::streamoff print_from(const fs::path& file, std::streamoff at) {
    std::ifstream in(file, std::ios::binary);
    in.seekg(at);
    std::string block(1 << 16, '\0');
    while (in) {
      in.read(block.data(), static_cast<std::streamsize>(block.size()));
      std::fwrite(block.data(), 1, static_cast<size_t>(in.gcount()), stdout);
      at += in.gcount();
    }
    std::fflush(stdout);
    return at;
  }

  static int print_events(const Session& session, tracker::Query& query, const std::string& uid) {
    auto out = nlohmann::ordered_json::array();
    for (const auto& event : query.detail(uid).events) {
      if (session.json) {
        out.push_back({{"time", utc_text(event.time_ns)},
                       {"level", tracker::text(event.level)},
                       {"text", event.text}});
      } else {
        fmt::print("{} {:<7} {}\n", utc_text(event.time_ns), tracker::text(event.level),
                   event.text);
      }
    }
    if (session.json) fmt::print("{}", dump(out));
    return 0;
  }

  std::string run_;
  bool follow_ = false, events_ = false;
  int rank_ = 0;
};

}  // namespace

std::unique_ptr<Command> make_logs() { return std::make_unique<Logs>(); }

}  // namespace xp::cli
