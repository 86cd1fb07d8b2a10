#pragma once

#include <optional>
#include <string>

#include "core/schema/frontend.h"

namespace xp::schema {

/// A key of [frontend] in which two front ends differ.
struct FrontendDifference {
  std::string key;     ///< "frontend.rate_hz"
  std::string theirs;  ///< "32000"
  std::string ours;    ///< "16000"
};

/// The first key by which a model that was trained on `theirs` sees other pictures of the same
/// sound on `ours`; nullopt when there is none. Lengths and the jitter of training may differ:
/// positions are fitted. Normalisation is not compared, it belongs to the data. high_hz is compared
/// as the edge that it stands for outside of training.
std::optional<FrontendDifference> frontend_difference(const FrontendOptions& theirs,
                                                      const FrontendOptions& ours);

}  // namespace xp::schema
