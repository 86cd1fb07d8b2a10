#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace xp::tracker {

/// Files kept by content under `.exp/objects/ab/cdef...`: equal bytes are kept once for all runs.
struct StoredObject {
  std::string sha256;
  int64_t bytes = 0;
};

/// Where the object with this digest lies.
std::filesystem::path object_path(const std::filesystem::path& workspace, std::string_view sha256);

/// Takes a file in: as a reflink where the file system can, else as a hard link of a file of a
/// mebibyte or more (what exp writes is never changed in place), else as a copy. Throws Error
/// (kData) when `file` cannot be read, (kFailed) when the workspace cannot be written.
StoredObject store_object(const std::filesystem::path& workspace,
                          const std::filesystem::path& file);

/// Whether a run began or took over a stage. False for a folder without a run. Throws Error (kData)
/// where its run.db cannot be read.
bool has_stages(const std::filesystem::path& run_folder);

/// What `exp gc` asks before it removes anything.
struct References {
  std::vector<std::string> objects;     ///< digests that some run refers to, sorted
  std::vector<std::string> stage_keys;  ///< keys of stages that some run refers to, sorted
  std::vector<std::string>
      unreadable;  ///< runs that could not be asked: then nothing should be removed
};
References references(const std::filesystem::path& workspace);

/// Objects that no run refers to: path and bytes. Those that came within `spared` are left: their
/// run may not have stored its row yet. Throws Error (kData) naming the run that cannot be read.
struct Garbage {
  std::filesystem::path path;
  int64_t bytes = 0;
};
std::vector<Garbage> unreferenced_objects(const std::filesystem::path& workspace,
                                          std::chrono::seconds spared = std::chrono::minutes(10));

}  // namespace xp::tracker
