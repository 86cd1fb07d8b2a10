#pragma once

namespace xp {

/// Which of the processes that a launcher started this one is.
struct LaunchedRank {
  int rank = 0;
  int world = 1;
};

/// By RANK and WORLD_SIZE (any launcher), or SLURM_PROCID and SLURM_NTASKS inside a step of srun; a
/// batch script, or a shell inside an allocation, is no step. world = 1 where there is no launcher.
LaunchedRank launched_rank();

/// The variable as a number; `otherwise` where it is absent or empty.
int environment_number(const char* name, int otherwise);

}  // namespace xp
