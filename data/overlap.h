#pragma once

#include <string>
#include <vector>

#include "data/shard.h"

namespace xp::data {

/// A line for each of the parts "val" and "test" with clips that are training clips too, whatever
/// they are called: "8 of 20 test clips are in train too ..". By the digests of their samples, so
/// that a copy is found as well as a file that two lists name; digital silence is no copy. No sound
/// is read but that of the clips that are found.
std::vector<std::string> overlap_warnings(const ShardReader& shards,
                                          const schema::DatasetOptions& options);

}  // namespace xp::data
