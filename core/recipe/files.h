#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/recipe/source.h"
#include "core/recipe/value.h"

namespace xp::recipe {

/// One file of a recipe, `extends` taken out.
struct Document {
  int source = 0;
  Table tree;
  bool main = false;  ///< the recipe itself, not a file that it extends
};

/// Most files that a recipe may be made of.
inline constexpr int kMaxFiles = 64;

/// Reads a recipe and what it extends, in the order of layers: what is extended comes first, left
/// to right, each after what it extends itself. Syntax errors (the first of each file), files that
/// cannot be read and circles are added to `faults`. Throws Error (kData) when the recipe itself
/// cannot be read.
/// `read` stands for the disk when it is not empty (LoadOptions::read).
std::vector<Document> read_documents(
    const std::filesystem::path& path, Sources& sources, Faults& faults,
    std::vector<std::filesystem::path>& files,
    const std::function<std::optional<std::string>(const std::filesystem::path&)>& read);

}  // namespace xp::recipe
