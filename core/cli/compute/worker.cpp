// `exp worker`: takes one job from rank 0 and does its rank's part.
#include "core/cli/worker.h"

#include <charconv>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/cli/command.h"
#include "core/dist/team.h"
#include "core/train/job.h"

namespace xp::cli {

int compute_worker(Command& command, Session&) {
  const WorkerArguments& arguments = asked_of<WorkerArguments>(command);
  dist::WorkerPlace place;
  const size_t colon = arguments.address.rfind(':');
  place.host = arguments.address.substr(0, colon);
  const char* end = arguments.address.data() + arguments.address.size();
  const char* digits = arguments.address.data() + (colon == std::string::npos ? 0 : colon + 1);
  if (colon == std::string::npos || std::from_chars(digits, end, place.port).ptr != end)
    throw Error(fmt::format("'{}' is not HOST:PORT", arguments.address));
  place.rank = arguments.rank;
  place.world = arguments.world;
  place.jobs = 1;
  dist::run_worker(place, train::read_job);
  return 0;
}

}  // namespace xp::cli
