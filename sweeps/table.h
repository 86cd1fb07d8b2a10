#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/files.h"
#include "tracker/process.h"
#include "tracker/sqlite.h"

/// sweep.db: the truth of a sweep. docs/formats/sweep.md describes the tables.
namespace xp::sweeps {

/// "max:STAGE.METRIC" taken apart.
struct Objective {
  std::string metric;
  bool maximise = true;
  /// The value as a loss: smaller is better.
  double loss(double value) const { return maximise ? -value : value; }
};
Objective parse_objective(std::string_view text);
std::string objective_text(const Objective& objective);

/// What a sweep is: everything that is needed to go on with it without its first command.
struct SweepSpec {
  std::string id;      ///< ULID
  std::string name;    ///< of the recipe
  std::string family;  ///< digest: the same command, or one that widens it, has the same
  std::string recipe;  ///< path as the user gave it; the texts are in `files`
  std::string folder;  ///< working folder, for relative paths
  std::vector<std::string> argv;
  std::vector<std::string> variants;
  std::vector<std::pair<std::string, std::string>> sets;    ///< key, text
  std::vector<std::pair<std::string, std::string>> params;  ///< key, spec
  std::vector<std::vector<std::string>> zip;
  std::vector<std::string> exclude;
  std::string strategy = "grid";
  uint64_t seed = 0;   ///< of the proposals: experiment.seed of the recipe
  int64_t seeds = 1;   ///< for each point
  int64_t trials = 0;  ///< points to propose; 0 for a grid
  /// A proposal k may use the results of proposals before k - lag: what makes proposals independent
  /// of the order in which trials end.
  int64_t lag = 0;
  int64_t rung_first = 1;   ///< asha: completed epochs at the first rung
  int64_t rung_factor = 3;  ///< asha: one in so many goes on, and the next rung is so much later
  std::vector<Objective> objectives;  ///< the first decides; several: a Pareto front
  std::string devices;                ///< as `--devices`, "" = the workspace's
  std::string executor;               ///< "local" or "slurm": `exp sweeps resume` goes on there
  std::vector<std::string> slurm;     ///< options of sbatch that the command gave
  std::map<std::string, std::string> files;  ///< the recipe's files as they were
  std::map<std::string, std::optional<std::string>> environment;  ///< what ${env:..} read
  int64_t created_ns = 0;
};

enum class TrialState {
  kQueued,
  kRunning,
  kDone,
  kFailed,
  kStopped,  ///< ended early by the strategy: it was not among the best
  kLost      ///< its workers died so often that nobody tries again by himself
};
std::string_view text(TrialState state);

/// One run of the recipe with one choice of values.
struct Trial {
  int64_t number = 0;  ///< from 1
  int64_t point = 0;   ///< from 1: trials of one point differ by seed alone
  uint64_t seed = 0;   ///< experiment.seed
  std::string hash;    ///< of the resolved recipe: the trial's identity
  std::vector<std::pair<std::string, std::string>> values;  ///< key, text for --set
  std::vector<double> place;  ///< in the space of the strategy; empty for a grid
  std::string bundle;         ///< trials that share all but their evaluations have the same
  std::string goals;          ///< digest of the keys of its goals
  bool wanted = true;         ///< by the newest command
  TrialState state = TrialState::kQueued;
  std::string owner;  ///< of the worker that holds it
  tracker::ProcessId process;
  int64_t lease_ns = 0;  ///< wall clock until which its holder is believed to live
  int tries = 0;
  int losses = 0;     ///< times that its worker died
  std::string run;    ///< ULID of its run, "" before the first
  std::string doing;  ///< "train: epoch 3/10"
  std::string error;  ///< of kFailed, kStopped and kLost
  std::string job;    ///< of a cluster
  int64_t started_ns = 0, ended_ns = 0;
  double seconds = 0;                     ///< of work in the newest try
  double peak_mb = 0;                     ///< largest resident size of its process
  std::map<std::string, double> metrics;  ///< final ones
};

/// "tome.r = 16, seed 2": the seed only where there are several.
std::string trial_text(const Trial& trial, bool with_seed);

struct Counts {
  int64_t queued = 0, running = 0, done = 0, failed = 0, stopped = 0, lost = 0;
  int64_t all() const { return queued + running + done + failed + stopped + lost; }
  int64_t ended() const { return done + failed + stopped + lost; }
};

/// How a trial ended.
struct Ending {
  TrialState state = TrialState::kDone;  ///< kQueued gives it back (a stop)
  std::string error;
  double seconds = 0;
  double peak_mb = 0;
  std::map<std::string, double> metrics;
};

/// How long a claim is believed without a renewal.
inline constexpr int64_t kLeaseNs = 60'000'000'000;
/// After this many dead workers a trial is lost.
inline constexpr int kMaxLosses = 3;

/// One connection to a sweep.db. Any number of processes may work on one; one thread at a time uses
/// a connection. Every change is one transaction, one at a time among all processes (a kernel lock
/// beside the file hands them out in turn).
class SweepDb {
 public:
  /// `folder` is .exp/sweeps/ULID. Makes it, with its spec.
  static SweepDb create(const std::filesystem::path& folder, const SweepSpec& spec);
  /// Throws Error when there is none.
  static SweepDb open(const std::filesystem::path& folder);
  /// The same to look at it only, also on a read-only disk.
  static SweepDb read(const std::filesystem::path& folder);

  const std::filesystem::path& folder() const { return folder_; }
  /// Writes a copy of sweep.db to another folder, which is there.
  void copy_to(const std::filesystem::path& folder) const { db_.copy_to(folder / "sweep.db"); }
  SweepSpec spec() const;
  /// Replaces what a wider command may change: argv, params, zip, exclude, seeds, trials,
  /// objectives, devices, executor, slurm.
  void update_spec(const SweepSpec& spec);

  /// Adds trials that are not there by hash, marks the given ones as wanted and all others as not
  /// (`keep_others` leaves them as they are). Numbers and points are given out here; trials with
  /// equal values share a point. A finished trial whose `goals` are others than before (data or
  /// code changed) is queued again. Returns how many are new.
  size_t add(const std::vector<Trial>& trials, bool keep_others);
  /// True when a trial of that hash is there.
  bool has(const std::string& hash) const;
  int64_t points() const;  ///< the highest point, 0 without trials

  std::vector<Trial> trials(bool wanted_only) const;
  std::optional<Trial> trial(int64_t number) const;
  Counts counts() const;  ///< of wanted trials

  /// The first queued wanted trial and up to `limit` - 1 others of its bundle, now running for
  /// `owner`. `only` asks for the bundle of that trial alone. Empty when there is none, or the
  /// sweep is halted.
  std::vector<Trial> claim(const std::string& owner, const tracker::ProcessId& process, int limit,
                           const std::string& job = "", int64_t only = 0);
  /// Renews all leases of `owner`; false when one was taken away.
  bool renew(const std::string& owner, const std::vector<int64_t>& numbers,
             const std::string& doing);
  /// Which run a claimed trial writes.
  void set_run(int64_t number, const std::string& owner, const std::string& run);
  /// Ends a claimed trial. False, and nothing changed, when `owner` no longer holds it.
  bool finish(int64_t number, const std::string& owner, const Ending& ending);
  /// Gives trials of dead workers back. Those of processes on this machine that are gone at once,
  /// others when their lease is over. Returns how many.
  size_t reclaim(int64_t now_ns);
  /// The same for the trials of a cluster's task that ended. Returns how many.
  size_t reclaim_job(const std::string& job);
  /// Ends, as stopped, what the task of a cluster holds, and what still waits of the bundle that
  /// begins with trial `head`. Returns how many.
  size_t stop_job(const std::string& job, int64_t head, const std::string& why);
  /// Queues ended trials of a state again: kFailed, kLost, kStopped. Returns how many.
  size_t retry(TrialState state);
  /// Queues finished trials whose run is gone (`exp rm`), as `there` says. Returns how many.
  size_t forget_removed(const std::function<bool(const std::string& run)>& there);

  /// Why no new trial may begin, "" = open. `cancel`: running ones are to stop as well.
  void halt(const std::string& why, bool cancel);
  void reopen();
  std::string halted() const;
  bool cancelled() const;

  /// asha: the value at a rung, once per trial and epoch.
  void add_rung(int64_t number, int64_t epoch, double value);
  /// (trial, value) of a rung in the order of arrival.
  std::vector<std::pair<int64_t, double>> rung(int64_t epoch) const;

 private:
  SweepDb(std::filesystem::path folder, tracker::sql::Database db)
      : folder_(std::move(folder)), db_(std::move(db)) {}
  FileLock turn() const;
  size_t give_back(const std::vector<Trial>& dead, int64_t now_ns);

  std::filesystem::path folder_;
  mutable tracker::sql::Database db_;
};

/// Folders of all sweeps of a workspace (.exp), newest first.
std::vector<std::filesystem::path> sweep_folders(const std::filesystem::path& exp_folder);
/// The sweep that `text` means: an id, 4 letters or more of its beginning or end, or "last", the
/// newest that can be read. Throws Error when it means none or several.
std::filesystem::path find_sweep(const std::filesystem::path& exp_folder, std::string_view text);

}  // namespace xp::sweeps
