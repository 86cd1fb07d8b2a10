#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/run/executor_settings.h"
#include "core/run/workspace.h"
#include "sweeps/drive.h"
#include "sweeps/executor.h"
#include "sweeps/slurm.h"
#include "sweeps/sweep_describe.h"
#include "sweeps/sweep_recipes.h"
#include "sweeps/table.h"

namespace xp::sweeps {

/// Where trials are carried out, how many at a time, and which again.
struct SweepPlace {
  std::string executor;  ///< "local", "slurm"; "" = the sweep's first command's, exp.toml's, local
  int jobs = 0;          ///< 0 = exp.toml's, else one a GPU, else one
  int64_t memory_mb = 0;
  std::string devices;
  bool fail_fast = false;
  int64_t max_failures = -1;       ///< -1 = the recipe's
  std::vector<std::string> retry;  ///< states of trials to try again: failed, lost, stopped, all
  bool detach = false;             ///< slurm: submit and leave
  std::vector<std::string> slurm;  ///< further lines for #SBATCH
};

/// Works a stored sweep off: gives trials back that nobody does any more, proposes points, starts
/// workers or jobs and watches over them.
class SweepDrive {
 public:
  /// `program`: a binary beside which exp-compute lies. Throws Error for faults of exp.toml and of
  /// the recipe.
  SweepDrive(const std::filesystem::path& folder, const SweepPlace& place,
             const run::Workspace& workspace, std::filesystem::path program);
  SweepDrive(const SweepDrive&) = delete;
  SweepDrive& operator=(const SweepDrive&) = delete;

  const SweepSpec& spec() const { return spec_; }
  Counts counts() const { return db_.counts(); }
  std::vector<Trial> trials() const { return db_.trials(true); }
  /// Whether an objective is measured on the test split.
  bool selected_on_test() const { return options_.selected_on_test; }

  /// The script of its Slurm jobs. Starts nothing.
  std::string script() const;
  /// Returns when no trial is left or it was stopped; nullopt where jobs were submitted and left to
  /// themselves (place.detach).
  std::optional<Driven> run();

 private:
  void forget_removed_runs();
  std::unique_ptr<Executor> local_executor();
  SlurmOptions slurm_options(bool frozen) const;
  std::filesystem::path compute_program() const;

  const run::Workspace workspace_;
  const std::filesystem::path program_;
  const run::ExecutorSettings settings_;
  SweepDb db_;
  const SweepSpec spec_;
  const SweepPlace place_;
  SweepRecipes recipes_;
  DriveOptions options_;
};

/// Prepares the data sets of the recipe that were not read yet, by `exp run --until prepare`, since
/// trials are known by the digests of what they read: so the files are read once. `asked`: as the
/// sweep was described; `quiet`: without progress displays. Returns its exit code; 0 where there is
/// nothing to read.
int read_first(const run::RunArguments& asked, const DescribedSweep& described,
               const std::filesystem::path& program, bool quiet);

}  // namespace xp::sweeps
