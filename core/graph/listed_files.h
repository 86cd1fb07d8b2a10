#pragma once

#include <filesystem>
#include <vector>

namespace xp::graph {

/// The sounds that an AST data JSON lists ({"data": [{"wav": PATH, ..}, ..]}, lines that begin with
/// '#' skipped), relative paths below `folder`. What is not JSON lists nothing: reading the set
/// says what is wrong with it.
std::vector<std::filesystem::path> listed_files(const std::filesystem::path& json,
                                                const std::filesystem::path& folder);

}  // namespace xp::graph
