#include "tracker/objects.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
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

bool has_stages(const fs::path& run_folder) {
  const fs::path file = run_folder / "run.db";
  std::error_code error;
  const fs::file_type type = fs::status(file, error).type();
  if (type == fs::file_type::not_found) return false;
  if (type == fs::file_type::none)
    throw Error(fmt::format("{}: {}", file.string(), error.message()), Exit::kData);
  const sql::Database db = read_run(run_folder);
  return db.prepare("SELECT 1 FROM stage").step();
}

References references(const fs::path& workspace) {
  References out;
  std::set<std::string> objects, keys;
  std::error_code error;
  fs::directory_iterator it(workspace / "runs", error);
  if (error == std::errc::no_such_file_or_directory) return out;
  for (const fs::directory_iterator end; !error && it != end; it.increment(error)) {
    const fs::path run = it->path();
    std::error_code of_file;
    const fs::file_type type = fs::status(run / "run.db", of_file).type();
    if (type == fs::file_type::not_found) continue;
    try {
      if (type == fs::file_type::none) throw Error(of_file.message(), Exit::kData);
      const sql::Database db = read_run(run);
      for (auto rows = db.prepare("SELECT sha256 FROM artifact"); rows.step();)
        objects.insert(rows.text(0));
      for (auto rows = db.prepare("SELECT key FROM stage"); rows.step();) keys.insert(rows.text(0));
    } catch (const Error& problem) {
      out.unreadable.push_back(fmt::format("{}: {}", run.filename().string(), problem.message()));
    }
  }
  if (error)
    out.unreadable.push_back(fmt::format("{}: {}", (workspace / "runs").string(), error.message()));
  out.objects.assign(objects.begin(), objects.end());
  out.stage_keys.assign(keys.begin(), keys.end());
  std::sort(out.unreadable.begin(), out.unreadable.end());
  return out;
}

std::vector<Garbage> unreferenced_objects(const fs::path& workspace, std::chrono::seconds spared) {
  const References kept = references(workspace);
  if (!kept.unreadable.empty()) {
    throw Error(fmt::format("run {}; nobody knows which artifacts it refers to; `exp rm` removes a "
                            "run that is broken for good",
                            kept.unreadable.front()),
                Exit::kData);
  }
  std::vector<Garbage> out;
  const fs::path objects = workspace / "objects";
  std::error_code error;
  fs::recursive_directory_iterator it(objects, error);
  if (error == std::errc::no_such_file_or_directory) return out;
  for (const fs::recursive_directory_iterator end; !error && it != end; it.increment(error)) {
    struct stat info {};
    if (::lstat(it->path().c_str(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
    const std::string digest =
        it->path().parent_path().filename().string() + it->path().filename().string();
    if (std::binary_search(kept.objects.begin(), kept.objects.end(), digest)) continue;
    // Not by its time of change, which a hard link shares with the file it was made from.
    if (info.st_ctim.tv_sec + spared.count() > wall_ns() / 1'000'000'000) continue;
    out.push_back({it->path(), static_cast<int64_t>(info.st_size)});
  }
  if (error)
    throw Error(fmt::format("cannot read {}: {}", objects.string(), error.message()), Exit::kData);
  std::sort(out.begin(), out.end(),
            [](const Garbage& a, const Garbage& b) { return a.path < b.path; });
  return out;
}

}  // namespace xp::tracker
