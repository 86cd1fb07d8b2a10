#pragma once

#include <string>

namespace xp::cli {

/// `exp worker HOST:PORT RANK WORLD`: what `exp run --devices` starts; not meant for people.
struct WorkerArguments {
  std::string address;
  int rank = 0;
  int world = 0;
};

}  // namespace xp::cli
