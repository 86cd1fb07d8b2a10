#pragma once

#include <string>

#include "core/cli/command.h"

namespace xp::cli {

/// `exp worker HOST:PORT RANK WORLD`: what `exp run --devices` starts; not meant for people.
struct WorkerArguments {
  std::string address;
  int rank = 0;
  int world = 0;
};

const WorkerArguments& worker_arguments(Command& command);

}  // namespace xp::cli
