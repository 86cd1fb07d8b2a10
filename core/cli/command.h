#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/run/invocation.h"

namespace xp::cli {

class Arguments;

/// What every command sees of the process: global options, the arguments as given, the workspace.
struct Session : run::Invocation {
  bool json = false;               ///< --json: tables as JSON on stdout
  int verbosity = 0;               ///< -v, -vv
  bool quiet = false;              ///< --quiet: no progress displays
  std::filesystem::path log_file;  ///< --log-file

  /// As run::find_workspace.
  std::filesystem::path workspace() const;
};

/// One command. `declare` says which arguments it takes and binds them to members; `run` does the
/// work in `exp`. For a kCompute command `run` validates and plans; when it returns kContinue,
/// `exp` replaces itself by `exp-compute` with the same arguments, which declares, parses and calls
/// compute_NAME.
class Command {
 public:
  static constexpr int kContinue = -1;

  virtual ~Command() = default;
  virtual void declare(Arguments& declared) = 0;
  /// Returns the exit code. Throws Error for the user's mistakes.
  virtual int run(Session& session) = 0;
};

/// A command whose compute half needs nothing of it but what was asked for.
template <class T>
class CommandOf : public Command {
 public:
  const T& asked() const { return asked_; }

 protected:
  T asked_;
};

/// What a CommandOf<T> was asked for.
template <class T>
const T& asked_of(const Command& command) {
  return dynamic_cast<const CommandOf<T>&>(command).asked();
}

enum class Where { kLocal, kCompute };

struct CommandEntry {
  const char* name;
  Where where;
  const char* help;
  std::unique_ptr<Command> (*make)();
};

/// The table of commands.inc, sorted by name.
const std::vector<CommandEntry>& commands();

/// The compute half of a kCompute command.
using ComputeFunction = int (*)(Command&, Session&);
/// Compute halves by name; null where a command has none.
using ComputeTable = ComputeFunction (*)(const std::string& name);

/// Says on stderr why something failed: a line, with --json a JSON object {error: {message, code,
/// file, line, column}} in one line. The log file has the line.
void tell_failure(bool json, const Error& error);

/// Parses the command line, runs the command and turns every exception into one message and an exit
/// code. With `compute` (in `exp-compute`) kCompute commands go to their compute half; without it
/// (in `exp`) they end by becoming `exp-compute`.
int run_command_line(int argc, char** argv, ComputeTable compute = nullptr);

}  // namespace xp::cli
