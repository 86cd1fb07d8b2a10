#include "core/base/cpu.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <sstream>
#include <vector>

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

namespace xp {
namespace fs = std::filesystem;
namespace {

std::optional<std::string> first_line(const fs::path& file) {
  std::ifstream in(file);
  std::string line;
  if (!in || !std::getline(in, line)) return std::nullopt;
  return line;
}

/// This process's cgroup folders, from its own up to the root: a limit on any of them counts.
std::vector<fs::path> cgroup_folders(const fs::path& root) {
  std::vector<fs::path> folders;
  fs::path inner;
  std::ifstream in("/proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("0::/")) inner = line.substr(4);
  }
  for (fs::path at = root / inner;; at = at.parent_path()) {
    folders.push_back(at);
    if (at == root || !at.has_relative_path() || at == at.parent_path()) break;
  }
  folders.push_back(root);
  folders.push_back(root / "cpu");
  folders.push_back(root / "memory");
  return folders;
}

std::optional<double> quota_of(const fs::path& folder) {
  if (const auto line = first_line(folder / "cpu.max")) {
    std::istringstream in(*line);
    std::string quota;
    double period = 0;
    in >> quota >> period;
    if (quota != "max" && period > 0) return std::stod(quota) / period;
    return std::nullopt;
  }
  const auto quota = first_line(folder / "cpu.cfs_quota_us");
  const auto period = first_line(folder / "cpu.cfs_period_us");
  if (quota && period && std::stod(*quota) > 0 && std::stod(*period) > 0)
    return std::stod(*quota) / std::stod(*period);
  return std::nullopt;
}

std::optional<uint64_t> memory_limit_of(const fs::path& folder) {
  for (const char* name : {"memory.max", "memory.limit_in_bytes"}) {
    const auto line = first_line(folder / name);
    if (line && !line->empty() && line->find_first_not_of("0123456789") == std::string::npos)
      return std::stoull(*line);
  }
  return std::nullopt;
}

bool has_flag(std::string_view flag) {
  static const std::string flags = [] {
    std::ifstream in("/proc/cpuinfo");
    for (std::string line; std::getline(in, line);) {
      if (line.starts_with("flags")) return line + " ";
    }
    return std::string();
  }();
  return flags.find(" " + std::string(flag) + " ") != std::string::npos;
}

}  // namespace

int usable_cores(const fs::path& cgroup_root) {
  cpu_set_t set;
  CPU_ZERO(&set);
  double cores = static_cast<double>(sysconf(_SC_NPROCESSORS_ONLN));
  if (sched_getaffinity(0, sizeof(set), &set) == 0) cores = CPU_COUNT(&set);
  for (const auto& folder : cgroup_folders(cgroup_root)) {
    if (const auto quota = quota_of(folder)) cores = std::min(cores, std::ceil(*quota));
  }
  return std::max(1, static_cast<int>(cores));
}

uint64_t usable_memory(const fs::path& cgroup_root) {
  uint64_t bytes = static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) *
                   static_cast<uint64_t>(sysconf(_SC_PAGE_SIZE));
  for (const auto& folder : cgroup_folders(cgroup_root)) {
    if (const auto limit = memory_limit_of(folder)) bytes = std::min(bytes, *limit);
  }
  return bytes;
}

std::string cpu_name() {
  std::string name = "unknown CPU";
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("model name")) {
      name = line.substr(line.find(':') + 2);
      break;
    }
  }
  std::string units;
  const std::pair<const char*, const char*> known[] = {{"avx2", "avx2"},
                                                       {"avx512f", "avx512"},
                                                       {"avx512_bf16", "avx512_bf16"},
                                                       {"amx_bf16", "amx_bf16"}};
  for (const auto& [flag, label] : known) {
    if (has_flag(flag)) units += (units.empty() ? "" : " ") + std::string(label);
  }
  return units.empty() ? name : name + " (" + units + ")";
}

bool has_bf16_units() { return has_flag("amx_bf16") || has_flag("avx512_bf16"); }

double process_cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::optional<CpuTurns> process_cpu_turns(const fs::path& task_folder) {
  CpuTurns out;
  bool any = false;
  std::error_code none;
  for (const auto& thread : fs::directory_iterator(task_folder, none)) {
    std::ifstream in(thread.path() / "schedstat");
    CpuTurns turns;
    if (!(in >> turns.ran_ns >> turns.waited_ns)) continue;  // it has ended meanwhile
    any = true;
    out.ran_ns += turns.ran_ns;
    out.waited_ns += turns.waited_ns;
  }
  return any ? std::optional(out) : std::nullopt;
}

void keep_waiting_threads_from_spinning() {
  if (std::getenv("OMP_WAIT_POLICY") == nullptr)
    ::setenv("GOMP_SPINCOUNT", kOmpSpinCount, /*overwrite=*/0);
}

uint64_t resident_bytes() {
  // "size resident shared ..." in pages.
  std::ifstream statm("/proc/self/statm");
  uint64_t size = 0;
  uint64_t resident = 0;
  statm >> size >> resident;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

uint64_t peak_resident_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace xp
