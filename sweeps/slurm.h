#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "sweeps/executor.h"

namespace xp::sweeps {

struct SlurmOptions {
  std::filesystem::path program;    ///< the worker's binary, frozen
  std::filesystem::path workspace;  ///< where jobs run
  std::vector<std::string> lines;   ///< for #SBATCH: "--partition=gpu", "--time=12:00:00"
  int at_once = 0;                  ///< tasks of an array that run at a time; 0 = what Slurm allows
  int requeues = 20;   ///< times that a task goes on after a preemption or its time limit
  int signal_s = 120;  ///< seconds before the time limit at which a checkpoint is asked for
};

/// The job script of an array with one task a bundle, named by the bundle's first trial. What comes
/// from a recipe, a path or an option stands in it as a quoted word or in a comment of one line.
/// Throws Error for a path or an option with control characters, which sbatch cannot take.
std::string job_script(const SlurmOptions& options, const SweepSpec& spec,
                       const std::filesystem::path& folder, const std::vector<int64_t>& trials);

/// The first queued trial of each bundle.
std::vector<int64_t> bundle_heads(const std::vector<Trial>& trials);

/// A copy of `program` below `root`, in a folder named by its content: what is built later does not
/// change jobs that wait.
std::filesystem::path freeze_program(const std::filesystem::path& program,
                                     const std::filesystem::path& root);
/// Where that copy is or would be.
std::filesystem::path frozen_path(const std::filesystem::path& program,
                                  const std::filesystem::path& root);

/// True where tasks of the sweep were handed to Slurm.
bool has_slurm_tasks(const std::filesystem::path& sweep_folder);

/// What Slurm says of a task.
struct TaskState {
  std::string
      state;  ///< PENDING, RUNNING, COMPLETED, FAILED, TIMEOUT, ...; "" = it knows it no longer
  std::string reason;  ///< why it waits
  bool over() const;
  /// By `scancel`: whoever did that does not want it again.
  bool cancelled() const;
  /// It was cancelled before it ran, or ended long ago: Slurm has its array and no such task.
  static constexpr const char* kNotFound = "not found";
};

/// Trials as tasks of array jobs. Its memory is the folder `slurm` of the sweep: a driver that
/// comes later takes over the jobs of an earlier one.
class SlurmExecutor final : public Executor {
 public:
  /// Throws Error when there is no sbatch.
  SlurmExecutor(const SweepDb& db, SlurmOptions options);

  void tick(int64_t waiting, int64_t bundles) override;
  int active() const override { return static_cast<int>(tasks_.size()); }
  void stop(StopReason reason) override;
  bool outlives_driver() const override { return true; }

  /// Takes back what waits in Slurm's queue for this sweep; running tasks see in sweep.db that it
  /// is cancelled. Returns how many jobs were told.
  static size_t cancel(const std::filesystem::path& sweep_folder);

 private:
  void submit();
  void look();
  void ended(const std::string& task, int64_t head, const TaskState& state);
  std::filesystem::path folder() const { return db_.folder() / "slurm"; }

  SweepDb db_;
  const SlurmOptions options_;
  const SweepSpec spec_;
  std::map<std::string, int64_t> tasks_;  ///< "1234_7" -> first trial of its bundle
  int64_t looked_ = 0;
  int fruitless_ = 0;  ///< tasks in a row that ended badly without claiming anything
};

/// squeue's answer to `-o %i|%T|%r` by task.
std::map<std::string, TaskState> parse_squeue(const std::string& text);
/// scontrol's answer to `show job -o`, of one task.
TaskState parse_scontrol(const std::string& text);

}  // namespace xp::sweeps
