#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace xp::run {

/// [executor] of exp.toml: where sweeps are carried out when the command does not say.
struct ExecutorSettings {
  std::string kind = "local";      ///< "local" or "slurm"
  int jobs = 0;                    ///< trials at a time; 0 = one a GPU, else one
  int64_t memory_mb = 0;           ///< of a trial; 0 = not known
  std::vector<std::string> slurm;  ///< for #SBATCH: "--partition=gpu"
  int requeues = 20;               ///< times that a Slurm task goes on after a preemption
  int signal_s = 120;              ///< seconds before its time limit at which it saves a checkpoint
};

/// Throws Error with its place for a key that is unknown or of the wrong type. Defaults without the
/// file or the section.
ExecutorSettings load_executor_settings(const std::filesystem::path& workspace_root);

}  // namespace xp::run
