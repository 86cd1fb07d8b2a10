#pragma once

#include "tracker/sqlite.h"

namespace xp::sweeps {

/// The tables of docs/formats/sweep.md.
extern const tracker::sql::Schema kSweepSchema;

}  // namespace xp::sweeps
