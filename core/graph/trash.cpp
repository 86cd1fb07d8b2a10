#include "core/graph/trash.h"

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/files.h"

namespace xp::graph {
namespace fs = std::filesystem;

namespace {

constexpr const char* kTrash = "trash";

}  // namespace

Trash::Trash(fs::path folder)
    : folder_(std::move(folder)), place_(folder_ / kTrash / make_ulid()) {}

void Trash::take(const fs::path& path) {
  const fs::path target = place_ / path.lexically_relative(folder_);
  make_folders(target.parent_path());
  if (::rename(path.c_str(), target.c_str()) == 0) return;
  throw Error(
      fmt::format("cannot move {} to {}: {}", path.string(), place_.string(), std::strerror(errno)),
      Exit::kFailed);
}

uint64_t Trash::empty(bool all) const {
  std::vector<fs::path> over;
  std::error_code error;
  fs::directory_iterator it(folder_ / kTrash, error);
  for (const fs::directory_iterator end; !error && it != end; it.increment(error)) {
    std::error_code of_entry;
    const auto age = fs::file_time_type::clock::now() - fs::last_write_time(it->path(), of_entry);
    if (all || (!of_entry && age > std::chrono::hours(24 * kDays))) over.push_back(it->path());
  }
  uint64_t bytes = 0;
  for (const fs::path& path : over) {
    bytes += bytes_of(path);
    fs::remove_all(path, error);
  }
  return bytes;
}

uint64_t bytes_of(const fs::path& path) {
  std::error_code error;
  if (!fs::is_directory(fs::symlink_status(path, error))) {
    const uint64_t size = fs::file_size(path, error);
    return error ? 0 : size;
  }
  uint64_t out = 0;
  fs::recursive_directory_iterator it(path, error);
  for (const fs::recursive_directory_iterator end; !error && it != end; it.increment(error)) {
    std::error_code absent;
    if (it->is_regular_file(absent)) out += it->file_size(absent);
  }
  return out;
}

}  // namespace xp::graph
