// exp-compute sweeps work: a worker of a sweep, with the stages of this build.
#include "core/cli/sweeps.h"

#include "core/cli/compute/stage_runner.h"
#include "core/cli/compute/versions.h"

namespace xp::cli {

int compute_sweeps(Command& command, Session& session) {
  const int code = command.run(session);
  if (code != Command::kContinue) return code;
  const SweepsArguments& asked = asked_of<SweepsArguments>(command);
  return sweeps::work_on_sweep(asked.share, asked.workspace(session), session.argv(),
                               *make_stage_runner(), library_versions());
}

}  // namespace xp::cli
