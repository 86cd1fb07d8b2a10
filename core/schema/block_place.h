#pragma once

#include <cstdint>

namespace xp::schema {

/// A block of a transformer, as a reducer sees it.
struct BlockPlace {
  int64_t block = 0;    ///< 0 .. depth - 1
  int64_t depth = 12;   ///< blocks of the model
  int64_t special = 2;  ///< tokens at the front that are no patches: 0, 1 (cls) or 2 (cls, dist)
};

/// What a reducer leaves of the tokens of a clip.
struct TokensLeft {
  int64_t tokens = 0;
  bool clamped = false;  ///< fewer went than were asked for
};

}  // namespace xp::schema
