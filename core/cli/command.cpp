#include "core/cli/command.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>

#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/cpu.h"
#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/log.h"
#include "core/base/printable.h"
#include "core/base/progress.h"
#include "core/base/stop.h"
#include "core/cli/arguments.h"
#include "core/cli/plain_output.h"
#include "core/cli/version.h"
#include "core/run/workspace.h"
#include "tracker/capture.h"

namespace xp::cli {
namespace fs = std::filesystem;

#define XP_COMMAND(name, where, help) std::unique_ptr<Command> make_##name();
#include "core/cli/commands.inc"
#undef XP_COMMAND

const std::vector<CommandEntry>& commands() {
  static const std::vector<CommandEntry> table = {
#define XP_COMMAND(name, where, help) {#name, Where::where, help, &make_##name},
#include "core/cli/commands.inc"
#undef XP_COMMAND
  };
  return table;
}

fs::path Session::workspace() const { return run::find_workspace(); }

namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  exp run recipes/esc50/quickstart.toml\n"
    "  exp sweep --param tome.r=0:64:8\n"
    "  exp report\n"
    "  exp COMMAND --help\n";

// What a command prints is what it was asked for: on a full disk it must not look well done. A
// reader that went away (`exp runs | head`) has what it wanted.
void require_output_written() {
  errno = 0;
  const bool written = flush_output();
  const int captured = tracker::Capture::stdout_error();
  if (captured == 0 && (written || errno == EPIPE)) return;
  const int why = captured != 0 ? captured : errno;
  throw Error(fmt::format("the output could not be written{}",
                          why == 0 ? "" : fmt::format(": {}", std::strerror(why))),
              Exit::kFailed);
}

int exec_compute(const Session& session) {
  const fs::path program = session.program.parent_path() / "exp-compute";
  if (!fs::exists(program)) {
    throw Error(
        fmt::format("{} is not there: this build has no compute part; build it with LibTorch "
                    "(cmake --preset release)",
                    program.string()),
        Exit::kFailed);
  }
  std::vector<std::string> words = {program.string()};
  words.insert(words.end(), session.arguments.begin(), session.arguments.end());
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  require_output_written();
  execv(argv[0], argv.data());
  throw Error(fmt::format("cannot start {}: {}", program.string(), std::strerror(errno)),
              Exit::kFailed);
}

int dispatch(const CommandEntry& entry, Command& command, Session& session, ComputeTable compute) {
  if (compute != nullptr && entry.where == Where::kCompute)
    return compute(entry.name)(command, session);
  const int code = command.run(session);
  if (code != Command::kContinue) return code;
  // From exp-compute this would start itself again without end.
  XP_CHECK(compute == nullptr, std::string(entry.name) + " has no compute half");
  return exec_compute(session);
}

/// The parser calls words that nobody declared "extras"; for a first word that is a mistyped
/// command we can do better.
std::string unknown_command_text(const std::string& word) {
  std::vector<std::string> names;
  for (const auto& entry : commands()) names.emplace_back(entry.name);
  std::string guess = nearest(word, names);
  // The beginning of a name is meant before a slip of one letter: `exp ru` is no `exp rm`.
  for (const std::string& name : names) {
    if (name.starts_with(word) && (!guess.starts_with(word) || name.size() < guess.size()))
      guess = name;
  }
  return fmt::format("unknown command '{}'{} `exp --help` lists the commands", word,
                     guess.empty() ? ";" : fmt::format("; did you mean '{}'?", guess));
}

int run_parsed(int argc, char** argv, ComputeTable compute, PlainOutput& output) {
  Session session;
  session.program = fs::read_symlink("/proc/self/exe");
  for (int i = 1; i < argc; ++i) session.arguments.emplace_back(argv[i]);

  CommandLine line("exp", "exp: experiments that make audio transformers fast", version_text());
  Arguments declared = line.arguments();
  declared.footer(kExamples);
  declared.flag("--json", session.json, "tables as JSON on stdout");
  declared.flag("-v,--verbose", session.verbosity, "say more (-vv: everything)");
  declared.flag("-q,--quiet", session.quiet, "no progress displays");
  declared.option("--log-file", session.log_file, "every message also goes to this file");

  std::string chosen;
  std::vector<std::unique_ptr<Command>> all;
  for (const auto& entry : commands()) {
    all.push_back(entry.make());
    Arguments of_command = declared.subcommand(entry.name, entry.help, chosen);
    all.back()->declare(of_command);
  }

  for (const auto& word : session.arguments) {
    if (word.starts_with("-")) continue;
    const bool known = std::any_of(commands().begin(), commands().end(),
                                   [&](const auto& c) { return word == c.name; });
    if (!known) throw Error(unknown_command_text(word));
    break;
  }
  const auto given = [&](const char* flag) {
    return std::find(session.arguments.begin(), session.arguments.end(), flag) !=
           session.arguments.end();
  };
  if (given("--version") && given("--json")) {
    fmt::print("{}\n", version_json());
    return 0;
  }
  if (!line.parse(session.arguments)) return 0;
  if (session.json) output.set_json();
  if (session.verbosity > 0) log::set_level(log::Level::kDebug);
  if (session.quiet) set_progress_enabled(false);
  if (!session.log_file.empty()) log::set_file(session.log_file);
  for (size_t i = 0; i < all.size(); ++i) {
    if (chosen == commands()[i].name) return dispatch(commands()[i], *all[i], session, compute);
  }
  fmt::print("{}", line.help());
  return 0;
}

}  // namespace

void tell_failure(bool json, const Error& error) {
  if (!json) {
    log::write(log::Level::kError, error.what());
    return;
  }
  nlohmann::ordered_json out = {{"message", error.message()},
                                {"code", static_cast<int>(error.code())}};
  if (!error.place().file.empty()) {
    out["file"] = error.place().file;
    if (error.place().line > 0) out["line"] = error.place().line;
    if (error.place().column > 0) out["column"] = error.place().column;
  }
  const std::string line =
      nlohmann::ordered_json({{"error", out}})
          .dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  log::write_bare(log::Level::kError, printable_json(line), error.what());
}

int run_command_line(int argc, char** argv, ComputeTable compute) {
  install_stop_signals();
  // Here, since every command may start exp-compute: itself, a sweep's workers, queued runs.
  keep_waiting_threads_from_spinning();
  PlainOutput output;
  const bool json = std::find(argv + 1, argv + argc, std::string_view("--json")) != argv + argc;
  const auto failed = [&](const Error& error) {
    tell_failure(json, error);
    return static_cast<int>(error.code());
  };
  int code = 0;
  try {
    try {
      code = run_parsed(argc, argv, compute, output);
      require_output_written();
      return code;
    } catch (const Stopped& stopped) {
      const bool preempted = stopped.reason() == StopReason::kPreempted;
      return failed(Error(
          fmt::format("{}; run the same command again", preempted ? "preempted" : "interrupted"),
          exit_code(stopped.reason())));
    }
  } catch (const Error& error) {
    failed(error);
    return code != 0 ? code : static_cast<int>(error.code());
  } catch (const std::bad_alloc&) {
    return failed(
        Error("out of memory; lower train.batch_size, train.micro_batch or eval.batch_size",
              Exit::kFailed));
  } catch (const std::logic_error& error) {
    return failed(Error(error.what(), Exit::kInternal));
  } catch (const std::exception& error) {
    return failed(Error(error.what(), Exit::kFailed));
  }
}

}  // namespace xp::cli
