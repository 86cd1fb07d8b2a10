#pragma once

#include "tracker/filter.h"
#include "tracker/sqlite.h"

namespace xp::tracker {

/// Binds the values of a compiled filter or sort key to the parameters after `index`. Returns the
/// last index bound.
int bind_all(sql::Statement& statement, const Compiled& compiled, int index = 0);

}  // namespace xp::tracker
