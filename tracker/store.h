#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tracker/run_sink.h"
#include "tracker/value.h"

namespace xp::tracker {

struct Request;

/// One resolved key of the recipe, as `exp runs`, `exp diff` and filters see it.
struct Param {
  std::string key;     ///< "tome.r"
  Value value;         ///< lists and tables as JSON text
  std::string source;  ///< the place that set it: "kd.toml:12:1", "--set", "default"
};

/// What a run is made from. Everything is kept in full: no limit on lengths.
struct NewRun {
  std::string uid;   ///< what new_uid() gave to somebody who noted it before; empty = made here
  std::string name;  ///< experiment.name
  std::string recipe_path;    ///< as the user gave it
  std::string recipe_hash;    ///< digest of the resolved recipe; equal = the same experiment
  std::string recipe_toml;    ///< the resolved recipe, from which `exp reproduce` runs again
  std::vector<Param> params;  ///< every resolved key
  std::vector<std::string> tags;
  std::string notes;
  std::string parent;  ///< uid of the run that this one came from, or empty
  std::string sweep;   ///< id of its sweep, or empty
  std::vector<std::string> argv;
};

/// How a run is tracked. The defaults are what `exp run` uses.
struct RunOptions {
  std::chrono::milliseconds flush{200};    ///< points survive a loss of power after this
  std::chrono::milliseconds commit{1000};  ///< and are in run.db after this
  std::chrono::milliseconds heartbeat{10000};
  std::chrono::milliseconds system{5000};  ///< between samples of CPU, memory, GPU; 0 = none
  bool capture = false;          ///< keep stdout and stderr of this process: files/output.0.log
  bool provenance = true;        ///< host, environment, source state; false in tests
  std::filesystem::path source;  ///< a folder of the source tree; empty = the current one
  std::vector<std::string> versions;  ///< "libtorch=2.11.0", "nccl=2.27": the caller knows them
  std::function<void()> on_stop;      ///< called once, on the writer's thread, when `exp stop` asks
  size_t memory_points =
      4u << 20;  ///< points held in memory while the disk refuses, then counted as lost
};

/// What the tracker could not keep. All zero on a healthy machine.
struct Losses {
  uint64_t dropped = 0;    ///< points lost
  uint64_t unwritten = 0;  ///< points held in memory or in the ring now, because run.db refuses
  std::string error;       ///< why, of the newest failure
  bool removed = false;    ///< the record was removed, or taken by another process: it is no more
  bool any() const { return dropped != 0 || unwritten != 0 || !error.empty(); }
};

/// A run that this process writes: rank 0 of its training. Closing without `finish` leaves a run
/// that readers show as LOST once the process is gone.
class Run : public RunSink {
 public:
  virtual const std::string& uid() const = 0;  ///< ULID
  virtual const std::filesystem::path& folder() const = 0;
  virtual int attempt() const = 0;  ///< 1 for the first, k+1 after a resume

  /// The sink of a stage that this run computes in `folder` (KEY.partial or KEY.tmp). The stage
  /// sees metric names without `name.`. If an earlier run began the same folder, its curves are
  /// taken over.
  virtual std::unique_ptr<RunSink> begin_stage(std::string_view name, std::string_view kind,
                                               std::string_view key,
                                               const std::filesystem::path& folder) = 0;

  /// Writes the stage's curves and final values to `folder`/curves.db: to be called after the
  /// stage's work and before its folder is published. The stage's output owns its curves from then
  /// on.
  virtual void publish_stage(std::string_view name, const std::filesystem::path& folder) = 0;

  /// A stage whose output `folder` (cache/KIND/KEY) was there already: the run refers to it, its
  /// final values count as this run's (`eval.mAP`), its curves are shown marked as reused. An
  /// output without curves (the record of the run that made it was removed meanwhile) has at least
  /// the final values `reported`: names without `name.`, what its manifest says.
  virtual void attach_stage(std::string_view name, std::string_view kind, std::string_view key,
                            const std::filesystem::path& folder,
                            const std::map<std::string, double>& reported) = 0;

  /// A text fact about the run or machine: ("model.params", "86.9 M"). The newest value of a key
  /// counts.
  virtual void note_fact(std::string_view key, std::string_view value) = 0;

  /// True once `exp stop` asked this run to checkpoint and stop.
  virtual bool stop_requested() const noexcept = 0;

  /// Returns when every point logged before the call is in run.db and synced, or refused (see
  /// losses()).
  virtual void flush() = 0;

  /// Ends the attempt: drains, stores the state, closes. `message` and `where` (file:line, stage)
  /// say why it failed. A loss of tracking is logged as an error here, once. The sink accepts no
  /// points afterwards.
  virtual void finish(Outcome outcome, std::string_view message, std::string_view where,
                      int exit_code) = 0;

  virtual Losses losses() const = 0;
};

/// The runs of one workspace: the folder `.exp`, made when absent. Any number of processes may use
/// it at once.
class Store {
 public:
  explicit Store(std::filesystem::path folder);

  const std::filesystem::path& folder() const { return folder_; }
  std::filesystem::path run_folder(std::string_view uid) const {
    return folder_ / "runs" / std::string(uid);
  }

  /// A name for a new run that sorts behind those of all runs that are here, whatever the clock
  /// says by now.
  std::string new_uid() const;

  /// A new run and its first attempt. If the disk is full or read-only the run goes on in memory
  /// and says so (Losses); the work is never stopped by its tracker.
  std::unique_ptr<Run> create(const NewRun& run, const RunOptions& options);

  /// A run that waits for `exp queue`: no process yet. Returns its uid. Throws Error (kFailed) when
  /// the workspace cannot be written.
  std::string queue(const NewRun& run);

  /// Attempt k+1 of an ended, lost or queued run: points left in its ring are taken in first.
  /// Throws Error when the run is live ("run 01J.. is running on HOST, pid N"), unknown or broken.
  /// The run gets the name, recipe and parameters of `run`; what they were before stays with the
  /// attempt (Attempt::changes).
  std::unique_ptr<Run> resume(std::string_view uid, const NewRun& run, const RunOptions& options);

  /// A run that `exp run` may go on with.
  struct Earlier {
    std::string uid;
    bool done = false;  ///< it ended well: what is older is over as well
  };
  /// The runs of this recipe, newest first, that have ended and that nobody works on.
  std::vector<Earlier> earlier(std::string_view recipe_hash) const;

  /// Requests. A live run takes them in from its inbox within a flush; an ended one is changed at
  /// once. All throw Error for an unknown run.
  void tag(std::string_view uid, const std::vector<std::string>& add,
           const std::vector<std::string>& remove);
  void note(std::string_view uid, std::string_view text);  ///< appended, with its time
  void stop(std::string_view uid);    ///< throws Error when the run is not live
  void remove(std::string_view uid);  ///< throws Error when the run is live

 private:
  void check_known(std::string_view uid) const;
  void request(std::string_view uid, Request request);

  std::filesystem::path folder_;
};

/// The sink of another rank of a run on this machine: its points go to a ring of their own, which
/// rank 0's writer drains into the run under this rank. Artifacts are refused, events go to the
/// inbox.
std::unique_ptr<RunSink> open_rank_sink(const std::filesystem::path& run_folder, int rank,
                                        std::string_view stage);

}  // namespace xp::tracker
