#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/cli/arguments.h"
#include "core/cli/command.h"
#include "core/cli/run_text.h"
#include "tracker/query.h"

namespace xp::cli {
namespace {

class IndexCommand : public Command {
 public:
  void declare(Arguments& declared) override {
    declared.footer(
        "The index (.exp/index.db) is brought up to date by every command that reads runs; this "
        "one throws it away and\n"
        "makes it anew from the runs themselves, and names those that cannot be "
        "read.\n\nExample:\n  exp index\n");
  }

  int run(Session& session) override {
    const int64_t start = steady_ns();
    tracker::Query query(tracker_folder(session));
    query.rebuild();
    for (const std::string& warning : query.warnings()) log::warn("{}", warning);
    const auto runs = query.runs({.keys = std::vector<std::string>{}});
    size_t broken = 0;
    for (const auto& run : runs) broken += run.status == tracker::Status::kBroken ? 1 : 0;
    const double seconds = static_cast<double>(steady_ns() - start) * 1e-9;
    if (session.json) {
      fmt::print("{}", dump({{"runs", runs.size()}, {"broken", broken}, {"seconds", seconds}}));
    } else {
      fmt::print("{} in {}{}\n", run_count(runs.size()), duration_text(seconds),
                 broken == 0 ? "" : fmt::format(", {} of them cannot be read", broken));
    }
    return broken == 0 ? 0 : static_cast<int>(Exit::kData);
  }
};

}  // namespace

std::unique_ptr<Command> make_index() { return std::make_unique<IndexCommand>(); }

}  // namespace xp::cli
