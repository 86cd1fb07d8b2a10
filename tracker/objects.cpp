#include "tracker/objects.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <fmt/format.h>
#include <linux/fs.h>

#include "core/base/clock.h"
#include "core/base/digest.h"
#include "core/base/error.h"
#include "core/base/files.h"
#include "tracker/run_db.h"

namespace xp::tracker {
namespace fs = std::filesystem;
namespace {

constexpr uintmax_t kLinkFrom = 1u << 20;

bool reflink(const fs::path& from, const fs::path& to) {
  const int in = ::open(from.c_str(), O_RDONLY | O_CLOEXEC);
  if (in < 0) return false;
  const int out = ::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
  const bool done = out >= 0 && ::ioctl(out, FICLONE, in) == 0;
  if (out >= 0) ::close(out);
  ::close(in);
  if (!done && out >= 0) ::unlink(to.c_str());
  return done;
}

void take_in(const fs::path& from, const fs::path& to, uintmax_t bytes) {
  if (reflink(from, to)) return;
  if (bytes >= kLinkFrom && ::link(from.c_str(), to.c_str()) == 0) return;
  fs::copy_file(from, to);
}

}  // namespace

fs::path object_path(const fs::path& workspace, std::string_view sha256) {
  return workspace / "objects" / std::string(sha256.substr(0, 2)) / std::string(sha256.substr(2));
}

StoredObject store_object(const fs::path& workspace, const fs::path& file) {
  StoredObject out;
  out.sha256 = sha256_file(file);
  const uintmax_t bytes = fs::file_size(file);
  out.bytes = static_cast<int64_t>(bytes);
  const fs::path target = object_path(workspace, out.sha256);
  std::error_code ignored;
  if (fs::exists(target, ignored)) return out;
  const fs::path aside = target.string() + ".tmp-" + make_ulid();
  try {
    fs::create_directories(target.parent_path());
    take_in(file, aside, bytes);
    sync_path(aside);
    fs::rename(aside, target);
  } catch (const fs::filesystem_error& error) {
    fs::remove(aside, ignored);
    throw Error(fmt::format("cannot keep {}: {}", file.string(), error.code().message()),
                Exit::kFailed);
  }
  return out;
}

References references(const fs::path& workspace) {
  References out;
  std::set<std::string> objects, keys;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(workspace / "runs", none)) {
    const fs::path file = entry.path() / "run.db";
    if (!fs::exists(file, none)) continue;
    try {
      const sql::Database db = read_run(entry.path());
      for (auto rows = db.prepare("SELECT sha256 FROM artifact"); rows.step();)
        objects.insert(rows.text(0));
      for (auto rows = db.prepare("SELECT key FROM stage"); rows.step();) keys.insert(rows.text(0));
    } catch (const Error& error) {
      out.unreadable.push_back(
          fmt::format("{}: {}", entry.path().filename().string(), error.message()));
    }
  }
  out.objects.assign(objects.begin(), objects.end());
  out.stage_keys.assign(keys.begin(), keys.end());
  std::sort(out.unreadable.begin(), out.unreadable.end());
  return out;
}

std::vector<Garbage> unreferenced_objects(const fs::path& workspace) {
  const References kept = references(workspace);
  std::vector<Garbage> out;
  if (!kept.unreadable.empty()) return out;
  std::error_code none;
  for (const auto& entry : fs::recursive_directory_iterator(workspace / "objects", none)) {
    if (!entry.is_regular_file()) continue;
    const std::string digest =
        entry.path().parent_path().filename().string() + entry.path().filename().string();
    if (std::binary_search(kept.objects.begin(), kept.objects.end(), digest)) continue;
    // An object of a moment ago may belong to a run that has not stored its row yet.
    const auto age = fs::file_time_type::clock::now() - entry.last_write_time();
    if (digest.size() == 64 && age < std::chrono::minutes(10)) continue;
    out.push_back({entry.path(), static_cast<int64_t>(entry.file_size())});
  }
  std::sort(out.begin(), out.end(),
            [](const Garbage& a, const Garbage& b) { return a.path < b.path; });
  return out;
}

}  // namespace xp::tracker
