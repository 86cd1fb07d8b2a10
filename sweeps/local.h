#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sys/types.h>

#include "core/base/files.h"
#include "sweeps/executor.h"

namespace xp::sweeps {

/// What one worker at a time has for itself.
struct Slot {
  std::string name;                ///< "cpu-0", "GPU-5a3f.."
  std::vector<std::string> flags;  ///< for the worker: --threads, --devices
  std::vector<std::pair<std::string, std::string>> environment;
};

/// The machine, for tests.
struct Machine {
  int cores = 1;
  uint64_t memory = 0;            ///< bytes that may be used
  std::vector<std::string> gpus;  ///< UUIDs of those that this program can compute on
};
/// What there is; GPUs are not asked for where `devices` says cpu.
Machine this_machine(const std::string& devices);

/// How `jobs` workers share a machine: GPUs by UUID where `devices` does not say cpu (several
/// workers a GPU when there are more jobs than GPUs), cores evenly. `jobs` 0: one a GPU, else one.
/// `memory_mb` (0 = not known) a worker lowers the number to what fits.
std::vector<Slot> make_slots(const Machine& machine, int jobs, const std::string& devices,
                             int64_t memory_mb);

struct LocalOptions {
  std::vector<std::string> command;  ///< of a worker, without the slot's flags
  std::vector<Slot> slots;
  std::filesystem::path logs;   ///< a file for each slot's workers
  std::filesystem::path locks;  ///< of GPUs, shared by all drivers of the workspace
  /// Run once, before any worker starts, with all that the machine has: makes what several bundles
  /// share. Empty = not needed.
  std::vector<std::string> first;
  uint64_t memory = 0;  ///< bytes of the machine; 0 = not looked at
};

/// Workers as processes of this machine, one a slot.
class LocalExecutor final : public Executor {
 public:
  LocalExecutor(const SweepDb& db, LocalOptions options);
  void tick(int64_t waiting, int64_t bundles) override;
  int active() const override { return static_cast<int>(workers_.size()); }
  void stop(StopReason reason) override;
  bool outlives_driver() const override { return false; }

 private:
  struct Worker {
    pid_t pid = 0;
    size_t slot = 0;
    bool first = false;
    int64_t tries = 0;  ///< claims of the whole sweep when it began
    std::unique_ptr<FileLock> lock;
  };
  void collect();
  void start(size_t slot, bool first);
  bool memory_allows() const;
  int64_t claims() const;
  std::filesystem::path log_of(size_t slot) const;

  SweepDb db_;
  LocalOptions options_;
  std::vector<Worker> workers_;
  size_t usable_ = 0;  ///< slots; one fewer after a worker was killed for memory
  int useless_ = 0;    ///< workers in a row that ended badly without claiming anything
  bool first_done_ = false;
};

}  // namespace xp::sweeps
