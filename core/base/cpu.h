#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace xp {

/// Cores that this process may really use: the smaller of its affinity mask and its cgroup's CPU
/// quota (version 2 cpu.max, version 1 cfs quota), rounded up, at least 1. `cgroup_root` is for
/// tests.
int usable_cores(const std::filesystem::path& cgroup_root = "/sys/fs/cgroup");

/// Bytes of memory this process may use: the smaller of the machine's and its cgroup's limit.
uint64_t usable_memory(const std::filesystem::path& cgroup_root = "/sys/fs/cgroup");

/// The CPU's model name and the vector units that exp uses: "Intel(R) Xeon(R) Processor (avx2
/// avx512 amx_bf16)".
std::string cpu_name();

/// True where the CPU multiplies bf16 matrices in hardware (AMX or AVX512-BF16): what precision =
/// "auto" asks.
bool has_bf16_units();

/// CPU seconds (user + system) that this process used so far, all threads.
double process_cpu_seconds();

/// What the scheduler gave the threads of this process so far. A thread that has ended counts no
/// more.
struct CpuTurns {
  int64_t ran_ns = 0;     ///< on a core
  int64_t waited_ns = 0;  ///< ready to run, but others had the cores
};
/// nullopt where the kernel does not count it. `task_folder` is for tests.
std::optional<CpuTurns> process_cpu_turns(
    const std::filesystem::path& task_folder = "/proc/self/task");

/// Rounds that a thread of libgomp waits in before it sleeps. Its own default spins for a whole
/// time slice at the end of every parallel loop: on cores that other work uses too, the one that is
/// waited for is then not running, and a training step took eight times as long. A short spin costs
/// nothing on idle cores.
inline constexpr const char* kOmpSpinCount = "1000";

/// Sets GOMP_SPINCOUNT to kOmpSpinCount for the processes that this one becomes or starts (libgomp
/// reads it when it is loaded), unless the user has chosen how threads wait. Before any thread
/// starts.
void keep_waiting_threads_from_spinning();

/// Resident size now, in bytes.
uint64_t resident_bytes();

/// Largest resident size so far, in bytes.
uint64_t peak_resident_bytes();

}  // namespace xp
