#include "core/base/launch.h"

#include <cstdlib>

namespace xp {

int environment_number(const char* name, int otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr || *text == '\0' ? otherwise : std::atoi(text);
}

LaunchedRank launched_rank() {
  LaunchedRank out;
  const bool step = std::getenv("SLURM_STEP_ID") != nullptr || std::getenv("RANK") != nullptr;
  if (!step) return out;
  out.rank = environment_number("RANK", environment_number("SLURM_PROCID", 0));
  out.world = environment_number("WORLD_SIZE", environment_number("SLURM_NTASKS", 1));
  return out.world > 1 ? out : LaunchedRank{};
}

}  // namespace xp
