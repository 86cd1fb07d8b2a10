#include "core/graph/garbage.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/graph/cache_users.h"
#include "core/graph/trash.h"

namespace xp::graph {
namespace fs = std::filesystem;

namespace {

bool starts_with_any(const std::string& text, std::initializer_list<const char*> beginnings) {
  return std::any_of(beginnings.begin(), beginnings.end(),
                     [&](const char* one) { return text.starts_with(one); });
}

// What a killed process left, whoever uses the stage.
bool is_left_behind(const CacheEntry& entry) {
  return entry.ending.find(".tmp-") != std::string::npos ||
         starts_with_any(entry.ending, {"tmp-", "corrupt-", "old-", "trash-"});
}

// Whether this is what its name says. Anything else is not ours, and stays.
bool is_a_stages(const Cache& cache, const CacheEntry& entry) {
  std::error_code error;
  const fs::file_status itself = fs::symlink_status(entry.path, error);
  if (entry.ending.empty())
    return fs::is_directory(itself) && cache.find(entry.kind, entry.key).has_value();
  if (entry.ending == "partial" ||
      (is_left_behind(entry) && entry.ending.find('.') == std::string::npos)) {
    return fs::is_directory(itself);
  }
  const bool of_a_maker = starts_with_any(entry.ending, {"holder", "seconds", "reads", "verified"});
  return of_a_maker && fs::is_regular_file(itself);
}

std::string describe(const Cache& cache, const CacheEntry& entry) {
  std::string out = fmt::format("{} {}", entry.kind, entry.key.substr(0, 12));
  if (entry.ending.empty())
    return out + ", made for stage " + cache.find(entry.kind, entry.key)->stage;
  if (entry.ending == "partial") return out + ", unfinished";
  if (entry.ending.starts_with("corrupt-")) return out + ", damaged";
  return out + ", left by a process that ended";
}

// A rehearsal holds a lock in its scratch folder while it lives.
void find_scratch(const Cache& cache, std::vector<Garbage>& out) {
  std::error_code error;
  fs::directory_iterator it(cache.root(), error);
  for (const fs::directory_iterator end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    std::error_code absent;
    if (!name.starts_with("scratch-") || !fs::exists(it->path() / "lock", absent)) continue;
    if (!FileLock::try_acquire(it->path() / "lock")) continue;
    out.push_back(
        {it->path(), "scratch of a --check or --overfit that ended", bytes_of(it->path())});
  }
}

std::vector<Garbage> find_garbage(const Cache& cache, const Uses& used,
                                  std::vector<CacheEntry>& entries) {
  std::vector<Garbage> out;
  for (CacheEntry& entry : cache.entries()) {
    // Lock files stay: a process may be about to lock one, and they hold nothing.
    if (entry.ending == "lock") continue;
    const bool referred = used.count(entry.kind + "/" + entry.key) != 0;
    if ((referred && !is_left_behind(entry)) || !is_a_stages(cache, entry)) continue;
    if (!FileLock::try_acquire_unused(cache.lock_file(entry.kind, entry.key))) continue;
    out.push_back({entry.path, describe(cache, entry), bytes_of(entry.path)});
    entries.push_back(std::move(entry));
  }
  return out;
}

// What is used by the workspaces of a cache, and who they are. Brings what the cache remembers of
// those that can be read up to date.
class Users {
 public:
  Users(const Cache& cache, const fs::path& workspace, bool write)
      : cache_(cache), workspace_(workspace), write_(write) {}

  Uses used(std::vector<std::string>& notes) {
    const Uses own = uses_of_runs(workspace_);
    Uses out = own;
    for (CacheUser& user : cache_users(cache_)) {
      if (std::optional<Uses> now = now_used(user, own)) {
        if (write_ && *now != user.uses) {
          user.uses = *now;
          write_user(user);
        }
        out.merge(*now);
        continue;
      }
      if (user.uses.empty()) continue;
      notes.push_back(why_kept(user));
      out.insert(user.uses.begin(), user.uses.end());
    }
    return out;
  }

  void forget(const fs::path& gone) const {
    std::error_code error;
    const fs::path wanted = fs::weakly_canonical(gone, error);
    bool known = false;
    for (const CacheUser& user : cache_users(cache_)) {
      if (user.workspace != wanted && user.workspace != wanted / ".exp") continue;
      if (is_there(user)) {
        throw Error(
            fmt::format("--forget {}: this workspace is there, and uses the cache", gone.string()));
      }
      known = true;
      if (write_) fs::remove(user.file, error);
    }
    if (!known) {
      throw Error(fmt::format("--forget {}: the cache {} knows no such workspace", gone.string(),
                              cache_.root().string()));
    }
  }

 private:
  // nullopt where the workspace is not there, or may not be read.
  std::optional<Uses> now_used(const CacheUser& user, const Uses& own) const {
    if (!is_there(user)) return std::nullopt;
    std::error_code error;
    if (fs::equivalent(user.workspace, workspace_, error)) return own;
    try {
      return uses_of_runs(user.workspace);
    } catch (const Error&) {
      return std::nullopt;
    }
  }

  static std::string why_kept(const CacheUser& user) {
    if (user.workspace.empty()) {
      return fmt::format(
          "{} stages were here before the cache noted who uses it, and are kept; "
          "`exp gc --adopt` where no other workspace uses them",
          user.uses.size());
    }
    const fs::path folder = user.workspace.parent_path();
    return fmt::format(
        "workspace {} (host {}) cannot be read, the {} stages that it used are "
        "kept; `exp gc --forget {}` where it is gone for good",
        folder.string(), user.host, user.uses.size(), folder.string());
  }

  const Cache& cache_;
  const fs::path& workspace_;
  const bool write_;
};

void require_marker(const Cache& cache) {
  if (is_marked(cache)) return;
  throw Error(
      fmt::format("{} is not marked as a cache of exp, so nothing is removed; if it is "
                  "one, `exp gc --adopt` marks it",
                  cache.root().string()));
}

}  // namespace

Collected collect_garbage(const Cache& cache, const fs::path& workspace, const Collecting& how) {
  Collected out;
  std::error_code error;
  if (!fs::exists(cache.root(), error)) return out;
  const FileLock lock = lock_cache(cache);
  if (how.adopt) {
    if (how.move) adopt_cache(cache);
  } else {
    mark_cache(cache, workspace);
    require_marker(cache);
  }
  Users users(cache, workspace, how.move);
  for (const fs::path& gone : how.forget) users.forget(gone);
  const Uses used = users.used(out.notes);
  std::vector<CacheEntry> entries;
  std::vector<Garbage> found = find_garbage(cache, used, entries);
  find_scratch(cache, found);
  if (!how.move) {
    out.items = std::move(found);
    return out;
  }
  // Renamed under the locks; the trash is emptied without them: that takes long.
  Trash trash(cache.root());
  for (size_t i = 0; i < found.size(); ++i) {
    std::optional<FileLock> unused =
        i < entries.size()
            ? FileLock::try_acquire_unused(cache.lock_file(entries[i].kind, entries[i].key))
            : std::nullopt;
    if (i < entries.size() && !unused) continue;
    try {
      trash.take(found[i].path);
      out.items.push_back(std::move(found[i]));
    } catch (const Error& problem) {
      out.notes.push_back(problem.message());
    }
  }
  return out;
}

std::vector<Garbage> left_by_kills(const fs::path& workspace) {
  constexpr auto kMoment = std::chrono::minutes(1);
  const auto is_old = [&](const fs::path& path) {
    std::error_code error;
    const auto age = fs::file_time_type::clock::now() - fs::last_write_time(path, error);
    return !error && age > kMoment;
  };
  const auto is_temporary = [](const fs::path& path) {
    return path.filename().string().find(".tmp-") != std::string::npos;
  };
  std::vector<Garbage> out;
  const auto add = [&](const fs::path& path, const char* what) {
    out.push_back({path, fmt::format("{}, {}", path.lexically_relative(workspace).string(), what),
                   bytes_of(path)});
  };
  std::error_code error;
  fs::directory_iterator runs(workspace / "runs", error);
  for (const fs::directory_iterator end; !error && runs != end; runs.increment(error)) {
    const fs::path run = runs->path();
    std::error_code none;
    if (!fs::is_directory(fs::symlink_status(run, none)) || !is_old(run)) continue;
    if (fs::exists(run / "lock", none) && !FileLock::try_acquire(run / "lock")) continue;
    if (!fs::exists(run / "run.db", none) && !none && !fs::exists(run / "stages.json", none)) {
      add(run, "a run that had not begun");
      continue;
    }
    fs::recursive_directory_iterator file(run, none);
    for (const fs::recursive_directory_iterator over; !none && file != over; file.increment(none)) {
      if (is_temporary(file->path()) && is_old(file->path())) {
        add(file->path(), "left by a process that ended");
        file.disable_recursion_pending();
      }
    }
  }
  for (const char* folder : {"", "changed", "sweeps"}) {
    fs::directory_iterator it(workspace / folder, error);
    for (const fs::directory_iterator end; !error && it != end; it.increment(error)) {
      if (is_temporary(it->path()) && is_old(it->path()))
        add(it->path(), "left by a process that ended");
    }
  }
  return out;
}

}  // namespace xp::graph
