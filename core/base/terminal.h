#pragma once

#include <cstddef>

namespace xp {

/// Letters in a line of the terminal that a descriptor leads to; 0 where it leads to none, or one
/// that does not say.
size_t terminal_columns(int descriptor);

}  // namespace xp
