#pragma once

#include <cstdint>
#include <string>

namespace xp::tracker {

/// Which process, on which machine, since when: enough to say later, on that machine, whether it
/// still lives.
struct ProcessId {
  std::string host;
  std::string boot;           ///< /proc/sys/kernel/random/boot_id
  std::string pid_namespace;  ///< "pid:[4026531836]"
  int64_t pid = 0;
  int64_t start =
      0;  ///< clock ticks after boot, of /proc/PID/stat: tells a reused pid from the process
};

ProcessId this_process();

enum class Life {
  kAlive,
  kDead,
  kUnknown,  ///< another machine or another container: only its heartbeat can tell
};

/// Whether the process lives, as far as this machine can know. Asks nothing but /proc.
Life life_of(const ProcessId& process);

}  // namespace xp::tracker
