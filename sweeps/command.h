#pragma once

#include <string>
#include <vector>

namespace xp::sweeps {

/// What a short command printed (stdout and stderr) and its exit code, 127 where it cannot be
/// started.
struct CommandResult {
  int code = 0;
  std::string text;
};
CommandResult run_command(const std::vector<std::string>& argv);

/// A word as a shell takes it.
std::string shell_quoted(const std::string& word);

}  // namespace xp::sweeps
