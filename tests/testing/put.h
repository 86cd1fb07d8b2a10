#pragma once

#include <filesystem>
#include <string_view>

namespace xp::testing {

/// Writes a file of a test, in folders that are made where they are absent; returns its path.
std::filesystem::path put(const std::filesystem::path& file, std::string_view content);

}  // namespace xp::testing
