#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/cli/sweep_recipes.h"
#include "core/run/plan_run.h"
#include "sweeps/drive.h"
#include "sweeps/table.h"

namespace xp::cli {

class Arguments;
struct Session;

/// Where trials are carried out, and how many at a time; `exp sweep` and `exp sweeps resume` take
/// it.
struct SweepPlace {
  std::string executor;  ///< "local", "slurm"; "" = exp.toml's, else local
  int jobs = 0;          ///< 0 = exp.toml's, else one a GPU, else one
  int64_t memory_mb = 0;
  std::string devices;
  bool fail_fast = false;
  int64_t max_failures = -1;  ///< -1 = the recipe's
  std::vector<std::string> retry;
  bool print = false;              ///< slurm: print the job script, start nothing
  bool detach = false;             ///< slurm: submit and leave
  std::vector<std::string> slurm;  ///< further lines for #SBATCH
};
void declare_place(Arguments& declared, SweepPlace& place);

/// Works a sweep off, with `place`: starts workers or jobs, watches, prints the summary. Returns
/// the exit code. With `place.print` it prints the job script alone, and `folder` is a
/// SweepSketch's.
int drive_sweep(const std::filesystem::path& folder, const SweepPlace& place,
                const run::Workspace& workspace, const Session& session);

/// What `exp sweep` takes besides.
struct SweepArguments {
  run::RunArguments run;  ///< recipe, --set, --variant, --devices
  std::vector<std::string> params, zip, exclude, objectives;
  std::string metric, strategy;
  int64_t trials = -1, seeds = -1;
  bool dry_run = false, yes = false, fresh = false;
  SweepPlace place;
};

/// A sweep as the command and the recipe's [sweep] describe it, and the recipe's graph, provisional
/// where a data set was not read yet. Throws Error for the user's mistakes.
struct DescribedSweep {
  sweeps::SweepSpec spec;
  graph::Graph graph;
  /// Swept values without which the recipe is not valid; mostly none.
  SweepRecipes::Values base_values;
  std::vector<std::string> notes;
};
DescribedSweep describe_sweep(const SweepArguments& arguments, const run::Workspace& workspace,
                              const Session& session);

/// Prepares the data sets of the recipe that were not read yet, by `exp run --until prepare`, since
/// trials are known by the digests of what they read: so the files are read once. Returns its exit
/// code; 0 where there is nothing to read.
int read_first(const SweepArguments& arguments, const DescribedSweep& described,
               const Session& session);

/// The trials of a grid; points that are the same experiment come once, with a note.
std::vector<sweeps::Trial> grid_trials(const sweeps::SweepSpec& spec, SweepRecipes& recipes,
                                       std::vector<std::string>& notes);

/// The newest sweep of that family: the one that the same command goes on with.
std::optional<std::filesystem::path> earlier_sweep(const run::Workspace& workspace,
                                                   const std::string& family);

/// Writes a sweep below `sweeps`, or adds to the earlier one: its folder. Fills spec.id. `jobs`:
/// trials at a time.
std::filesystem::path store_sweep(const std::optional<std::filesystem::path>& earlier,
                                  sweeps::SweepSpec& spec, const std::vector<sweeps::Trial>& trials,
                                  const std::filesystem::path& sweeps, int jobs);

/// A folder for sweeps that are only looked at (--print): it goes with this object, and no sweep of
/// the workspace changes.
class SweepSketch {
 public:
  SweepSketch();
  ~SweepSketch();
  SweepSketch(const SweepSketch&) = delete;
  SweepSketch& operator=(const SweepSketch&) = delete;
  const std::filesystem::path& folder() const { return folder_; }
  /// A copy of a sweep, in it.
  std::filesystem::path copy_of(const std::filesystem::path& sweep) const;

 private:
  std::filesystem::path folder_;
};

}  // namespace xp::cli
