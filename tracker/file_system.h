#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

namespace xp::tracker {

/// The name of the network (or cluster, or user-space) file system that holds `path` or its nearest
/// existing parent: "NFS", "Lustre", "GPFS", "SMB", "FUSE", ... Empty for a local one. SQLite's
/// write-ahead log needs shared memory between all of a file's users, which such a file system does
/// not give.
std::string_view network_file_system(const std::filesystem::path& path);

/// Replaces statfs(2) for tests: returns the `f_type` of a path. Null restores the real one. Set it
/// before any store is opened.
using StatfsType = int64_t (*)(const char* path);
void set_statfs_for_tests(StatfsType function);

}  // namespace xp::tracker
