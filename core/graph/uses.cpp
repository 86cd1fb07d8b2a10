#include "core/graph/uses.h"

#include <algorithm>
#include <set>
#include <system_error>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/stop.h"

namespace xp::graph {
namespace fs = std::filesystem;

namespace {

constexpr const char* kUses = "stages.json";
constexpr const char* kLock = "gc.lock";

// Held while uses are written and while garbage is told from what is used: one or the other sees
// the new run.
FileLock lock_uses(const Cache& cache) {
  make_folders(cache.root());
  auto lock = FileLock::acquire(cache.root() / kLock, [] {
    throw_if_stopped();
    return true;
  });
  XP_CHECK(lock.has_value(), "a wait without an end ended");
  return std::move(*lock);
}

std::set<std::string> read_uses(const fs::path& file) {
  std::set<std::string> out;
  std::error_code error;
  std::string text;
  try {
    if (!fs::exists(file, error)) return out;
    text = read_file(file);
  } catch (const Error&) {
    if (!fs::exists(file, error)) return out;  // the run was removed this moment
    throw;
  }
  const nlohmann::json in = nlohmann::json::parse(text, nullptr, false);
  if (!in.is_object() || !in.contains("stages") || !in["stages"].is_array()) {
    throw Error(fmt::format("{}: cannot be read, so nobody knows what this run uses; remove the "
                            "run (exp rm) or the file",
                            file.string()),
                Exit::kData);
  }
  for (const auto& use : in["stages"]) {
    if (use.is_string()) out.insert(use.get<std::string>());
  }
  return out;
}

uint64_t size_of(const fs::path& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return fs::file_size(path, error);
  uint64_t out = 0;
  for (fs::recursive_directory_iterator it(path, error), end; !error && it != end;
       it.increment(error)) {
    std::error_code absent;
    if (it->is_regular_file(absent)) out += it->file_size(absent);
  }
  return out;
}

struct Entry {
  fs::path path;
  std::string kind;
  std::string key;
  std::string ending;  // "", "partial", "tmp-...", "holder", ...
};

std::vector<Entry> entries(const Cache& cache) {
  std::vector<Entry> out;
  for (const StageKindInfo& info : stage_kinds()) {
    std::error_code error;
    for (fs::directory_iterator it(cache.root() / info.name, error), end; !error && it != end;
         it.increment(error)) {
      const std::string name = it->path().filename().string();
      const size_t dot = name.find('.');
      out.push_back({it->path(), info.name, name.substr(0, dot),
                     dot == std::string::npos ? "" : name.substr(dot + 1)});
    }
  }
  std::sort(out.begin(), out.end(), [](const Entry& a, const Entry& b) { return a.path < b.path; });
  return out;
}

bool is_left_behind(const Entry& entry) {
  for (const char* part : {"tmp-", "corrupt-", "old-", "trash-"}) {
    if (entry.ending.find(part) != std::string::npos) return true;
  }
  return false;
}

std::string describe(const Cache& cache, const Entry& entry) {
  std::string out = fmt::format("{} {}", entry.kind, entry.key.substr(0, 12));
  if (entry.ending.empty()) {
    const auto manifest = cache.find(entry.kind, entry.key);
    return manifest ? out + ", made for stage " + manifest->stage : out + ", without a manifest";
  }
  if (entry.ending == "partial") return out + ", unfinished";
  if (entry.ending.starts_with("corrupt-")) return out + ", damaged";
  return out + ", left by a process that ended";
}

// A rehearsal holds a lock in its scratch folder while it lives.
void collect_scratch(const Cache& cache, std::vector<Garbage>& out) {
  std::error_code error;
  for (fs::directory_iterator it(cache.root(), error), end; !error && it != end;
       it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (!name.starts_with("scratch-") || !FileLock::try_acquire(it->path() / "lock")) continue;
    out.push_back(
        {it->path(), "scratch of a --check or --overfit that ended", size_of(it->path())});
  }
}

std::vector<Garbage> find_garbage(const Cache& cache, const fs::path& runs) {
  std::set<std::string> used;
  std::error_code error;
  for (fs::directory_iterator it(runs, error), end; !error && it != end; it.increment(error)) {
    const std::set<std::string> uses = read_uses(it->path() / kUses);
    used.insert(uses.begin(), uses.end());
  }
  std::vector<Garbage> out;
  for (const Entry& entry : entries(cache)) {
    // Lock files stay: a process may be about to lock one, and they hold nothing.
    if (entry.ending == "lock") continue;
    const bool referred = used.count(entry.kind + "/" + entry.key) != 0;
    if (referred && !is_left_behind(entry)) continue;
    if (!FileLock::try_acquire(cache.root() / entry.kind / (entry.key + ".lock"))) continue;
    out.push_back({entry.path, describe(cache, entry), size_of(entry.path)});
  }
  collect_scratch(cache, out);
  return out;
}

}  // namespace

void record_uses(const Graph& graph, const fs::path& run_folder, const Cache& cache) {
  const FileLock lock = lock_uses(cache);
  std::set<std::string> uses = read_uses(run_folder / kUses);  // of an earlier attempt
  for (const Node& node : graph.nodes) uses.insert(node.kind + "/" + node.key);
  std::error_code error;
  fs::create_directories(run_folder, error);
  write_file_atomic(run_folder / kUses, nlohmann::ordered_json({{"stages", uses}}).dump(1) + "\n");
}

std::vector<Garbage> collect_garbage(const Cache& cache, const fs::path& runs, bool remove) {
  std::error_code error;
  if (!fs::exists(cache.root(), error)) return {};
  std::vector<Garbage> out;
  std::vector<fs::path> trash;
  {
    const FileLock lock = lock_uses(cache);
    out = find_garbage(cache, runs);
    if (!remove) return out;
    // Renamed under the lock, removed after it: a large output takes long, and a run may be
    // waiting.
    for (const Garbage& garbage : out) {
      const fs::path name = garbage.path.string() + ".trash-" + make_ulid();
      fs::rename(garbage.path, name, error);
      if (!error) trash.push_back(name);
    }
  }
  for (const fs::path& path : trash) fs::remove_all(path, error);
  return out;
}

}  // namespace xp::graph
