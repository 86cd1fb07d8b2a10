#pragma once

#include <string_view>
#include <vector>

#include "data/dataset.h"

namespace xp::data {

/// As rows_of_split, for a listing that was not prepared: the clips of one part, in the listing's
/// order.
std::vector<const Clip*> clips_of_split(const JoinedListing& joined,
                                        const schema::DatasetOptions& options,
                                        std::string_view role);

}  // namespace xp::data
