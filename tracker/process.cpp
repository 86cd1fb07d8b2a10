#include "tracker/process.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>

#include <unistd.h>

#include <fmt/format.h>

#include "core/base/process.h"

namespace xp::tracker {
namespace {

std::string line_of(const char* path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line;
}

/// Field 22 of /proc/PID/stat. The name (field 2) may hold spaces and brackets: fields count from
/// the last bracket. A zombie is dead: it computes no more.
std::optional<int64_t> start_of(int64_t pid) {
  const std::string stat = line_of(fmt::format("/proc/{}/stat", pid).c_str());
  const size_t bracket = stat.rfind(')');
  if (bracket == std::string::npos || bracket + 2 >= stat.size()) return std::nullopt;
  if (stat[bracket + 2] == 'Z' || stat[bracket + 2] == 'X') return std::nullopt;
  size_t at = bracket + 2;
  for (int field = 3; field < 22; ++field) {
    at = stat.find(' ', at);
    if (at == std::string::npos) return std::nullopt;
    ++at;
  }
  return std::strtoll(stat.c_str() + at, nullptr, 10);
}

struct Machine {
  std::string host, boot, pid_namespace;
};

const Machine& this_machine() {
  static const Machine machine = [] {
    std::error_code ignored;
    return Machine{host_name(), line_of("/proc/sys/kernel/random/boot_id"),
                   std::filesystem::read_symlink("/proc/self/ns/pid", ignored).string()};
  }();
  return machine;
}

}  // namespace

ProcessId this_process() {
  const Machine& machine = this_machine();
  const int64_t pid = ::getpid();
  return {machine.host, machine.boot, machine.pid_namespace, pid, start_of(pid).value_or(0)};
}

Life life_of(const ProcessId& process) {
  const Machine& machine = this_machine();
  if (process.host != machine.host) return Life::kUnknown;
  // Our machine, started anew since: nothing of before lives.
  if (process.boot != machine.boot) return Life::kDead;
  if (process.pid_namespace != machine.pid_namespace) return Life::kUnknown;
  return start_of(process.pid) == process.start ? Life::kAlive : Life::kDead;
}

}  // namespace xp::tracker
