#pragma once

#include <string>

namespace xp::testing {

/// What a command line printed (stdout and stderr together) and its exit code (128 + signal when
/// killed).
struct Shell {
  int code = 0;
  std::string text;
};

/// Runs a line of shell to its end.
Shell shell(const std::string& line);

}  // namespace xp::testing
