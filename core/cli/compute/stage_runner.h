#pragma once

#include <memory>

#include "core/graph/execute.h"

namespace xp::cli {

/// Does the work of every kind of stage that this build has.
std::unique_ptr<graph::Runner> make_stage_runner();

}  // namespace xp::cli
