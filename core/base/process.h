#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <sys/types.h>

namespace xp {

/// The name of this machine; "unknown" where it has none.
std::string host_name();

/// How a child process is started.
struct ProcessOptions {
  std::filesystem::path folder;  ///< working directory; empty = ours
  std::filesystem::path output;  ///< stdout and stderr are appended to it; empty = ours
  std::vector<std::pair<std::string, std::string>> environment;  ///< on top of ours
  bool own_group = false;  ///< the terminal's Ctrl-C does not reach it
};

/// Starts `argv[0]` (a path, or a name looked up in PATH). The child gets SIGTERM when this process
/// dies. Throws Error (kFailed) when it cannot be started.
pid_t start_process(const std::vector<std::string>& argv, const ProcessOptions& options);

/// The exit code of an ended child, 128 + N where signal N ended it; nullopt while it runs. A pid
/// may be asked for until its code was returned.
std::optional<int> poll_process(pid_t child);

}  // namespace xp
