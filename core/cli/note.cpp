#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "core/cli/arguments.h"
#include "core/cli/command.h"
#include "core/cli/run_text.h"
#include "tracker/query.h"
#include "tracker/store.h"

namespace xp::cli {
namespace {

class Note : public Command {
 public:
  void declare(Arguments& declared) override {
    declared.option("run", run_, "a uid or its end, a name, last").required();
    declared.option("text", words_, "what to remember; it is added to what is there").required();
    declared.footer("Examples:\n  exp note last \"the learning rate was too high\"\n");
  }

  int run(Session& session) override {
    tracker::Query query = open_query(session);
    const std::string uid = query.find(run_);
    const std::string text = fmt::format("{}", fmt::join(words_, " "));
    tracker::Store(tracker_folder(session)).note(uid, text);
    if (session.json) {
      fmt::print("{}", dump({{"uid", uid}, {"note", text}}));
    } else {
      fmt::print("noted at run {}\n", short_uid(uid));
    }
    return 0;
  }

 private:
  std::string run_;
  std::vector<std::string> words_;
};

}  // namespace

std::unique_ptr<Command> make_note() { return std::make_unique<Note>(); }

}  // namespace xp::cli
