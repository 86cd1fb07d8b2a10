#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/cli/arguments.h"
#include "core/cli/command.h"
#include "core/cli/run_text.h"
#include "tracker/query.h"
#include "tracker/store.h"

namespace xp::cli {
namespace {

class Tag : public Command {
 public:
  void declare(Arguments& declared) override {
    declared.option("run", run_, "a uid or its end, a name, last").required();
    declared.option("tags", add_, "tags to add");
    declared.option("--remove", remove_, "tags to take away").comma_separated();
    declared.footer(
        "Examples:\n  exp tag last baseline paper\n  exp tag 3F9KQ2ZT --remove paper\n  exp runs "
        "tag=baseline\n");
  }

  int run(Session& session) override {
    if (add_.empty() && remove_.empty())
      throw Error("give tags to add, or --remove TAG; see `exp tag --help`");
    tracker::Query query = open_query(session);
    const std::string uid = query.find(run_);
    tracker::Store(tracker_folder(session)).tag(uid, add_, remove_);
    if (session.json) {
      fmt::print("{}", dump({{"uid", uid}, {"added", add_}, {"removed", remove_}}));
    } else {
      fmt::print(
          "run {}:{}{}\n", short_uid(uid),
          add_.empty() ? "" : fmt::format(" tagged {}", fmt::join(add_, " ")),
          remove_.empty() ? "" : fmt::format(" no longer tagged {}", fmt::join(remove_, " ")));
    }
    return 0;
  }

 private:
  std::string run_;
  std::vector<std::string> add_, remove_;
};

}  // namespace

std::unique_ptr<Command> make_tag() { return std::make_unique<Tag>(); }

}  // namespace xp::cli
