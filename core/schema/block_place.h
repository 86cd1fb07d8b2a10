#pragma once

#include <cstdint>
#include <string>

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

/// What is wrong with the options of a reducer for a model.
struct ReducerFault {
  std::string key;   ///< of its section: "r"
  std::string text;  ///< the message, which names section and key
};

}  // namespace xp::schema
