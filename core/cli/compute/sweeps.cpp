// exp-compute sweeps work: a worker of a sweep, with the stages of this build.
#include "core/cli/sweeps.h"

#include "core/cli/compute/stage_runner.h"
#include "core/cli/compute/versions.h"

namespace xp::cli {

int compute_sweeps(Command& command, Session& session) {
  auto& sweeps_command = dynamic_cast<SweepsCommand&>(command);
  const int code = sweeps_command.run(session);
  if (code != Command::kContinue) return code;
  return sweeps::work_on_sweep(sweeps_command.share(), sweeps_command.asked_workspace(session),
                               session.argv(), *make_stage_runner(), library_versions());
}

}  // namespace xp::cli
