#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/graph/inputs.h"
#include "core/graph/manifest.h"

/// Outputs of stages that the user names by their path, outside of the cache's care: the manifest
/// beside them says what they were when they were made.
namespace xp::graph {

/// The manifest of the output folder that `path` is, or that the file `path` lies in; nullopt where
/// there is none of exp. Throws Error (kData) for one that was changed.
std::optional<Manifest> manifest_beside(const std::filesystem::path& path);

/// SHA-256 (64 hex digits) that a file has by its manifest; "" where it is not listed.
std::string listed_digest(const Manifest& manifest, std::string_view file);

/// While it is kept, `exp gc` leaves the output of a cache alone that `path` is or lies in. Nullopt
/// for what lies in no cache.
std::optional<FileLock> hold_output(const std::filesystem::path& path);

/// The Error (kData) for a file that is not what its manifest says.
Error damaged_output(const std::filesystem::path& file);

/// Throws Error (kData) naming the file of `path` (a file, or a folder of several) that is not what
/// its manifest says. `inputs` has seen `path` before: nothing is read for this.
void check_given_output(const std::filesystem::path& path, const InputDigests& inputs);

}  // namespace xp::graph
