#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "core/dist/session.h"

namespace xp::graph {
struct StageContext;
}

namespace xp::dist {

/// What the ranks of a stage do together.
struct Job {
  std::string text;     ///< what a worker process makes the same job from
  int64_t workers = 1;  ///< loader threads a rank, where the stage's resources leave it open
  /// One rank's part. Rank 0 owns the context's sink and output; the others report nothing.
  std::function<void(graph::StageContext& context, const Session& session)> rank;
};

/// Does a job on every device of the stage: here when there is one, else with a worker process for
/// each further device, or with the ranks that a launcher (srun) started beside this one. When a
/// rank fails or dies all end within seconds, and the Error thrown here has that rank's first error
/// line.
void run_team(const Job& job, graph::StageContext& context);

/// The GPU of a launcher's rank: `local` is its number on its machine, `usable` the GPUs that it
/// sees, which are all of the machine's or its own alone.
std::string launched_gpu(int local, int usable);

/// A process among others of one job.
struct WorkerPlace {
  std::string host = "127.0.0.1";
  int port = 0;
  int rank = 0;
  int world = 1;
  int jobs = 0;  ///< leave after so many; 0 = when rank 0 says so or is gone
};

/// Rank 0 under a launcher opens the place where the others find it; they wait two minutes for it,
/// so call it first of all. Nothing elsewhere.
void meet_launched_ranks();

/// The job of a text, and into `context` what the stage reads, writes and may use.
using ReadJob = std::function<Job(const std::string& text, graph::StageContext& context)>;

/// Takes jobs from rank 0 until there are no more. `prepare` sees the context of each job before it
/// begins. Throws what a job throws.
void run_worker(
    const WorkerPlace& place, const ReadJob& read,
    const std::function<void(graph::StageContext&)>& prepare = [](graph::StageContext&) {});

/// The place that a launcher gave this process: RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT, or
/// Slurm's SLURM_PROCID, SLURM_NTASKS and SLURM_LAUNCH_NODE_IPADDR with more than one task. world =
/// 1 where there is none.
WorkerPlace launched_place();

/// The program that workers are started from: this one, unless a test says otherwise.
void set_worker_program(const std::string& program);

}  // namespace xp::dist
