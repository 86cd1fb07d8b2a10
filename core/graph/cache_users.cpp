#include "core/graph/cache_users.h"

#include <algorithm>
#include <system_error>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/clock.h"
#include "core/base/digest.h"
#include "core/base/error.h"
#include "core/base/process.h"
#include "core/base/stop.h"

namespace xp::graph {
namespace fs = std::filesystem;
using nlohmann::ordered_json;

namespace {

constexpr const char* kLock = "gc.lock";
constexpr const char* kMarker = "cache.json";
constexpr const char* kUsers = "workspaces";
constexpr const char* kUnknown = "unknown.json";
constexpr const char* kIdentity = "identity";
constexpr size_t kUlidLetters = 26;

fs::path marker_of(const Cache& cache) { return cache.root() / kMarker; }

// The identity that a workspace has written down, or "".
std::string read_identity(const fs::path& workspace) {
  std::error_code error;
  const fs::path file = workspace / kIdentity;
  if (!fs::is_regular_file(file, error)) return "";
  const std::string text = read_file(file, kUlidLetters + 1);
  return text.size() == kUlidLetters + 1 ? text.substr(0, kUlidLetters) : "";
}

std::string make_identity(const fs::path& workspace) {
  if (std::string known = read_identity(workspace); !known.empty()) return known;
  make_folders(workspace);
  write_file_atomic(workspace / kIdentity, make_ulid() + "\n");
  return read_identity(workspace);  // another process may have been later
}

CacheUser read_user(const fs::path& file) {
  const auto in = nlohmann::json::parse(read_file(file), nullptr, false);
  CacheUser out;
  out.file = file;
  try {
    out.workspace = in.at("workspace").get<std::string>();
    out.identity = in.at("identity").get<std::string>();
    out.host = in.at("host").get<std::string>();
    out.uses = in.at("stages").get<Uses>();
  } catch (const nlohmann::json::exception&) {
    throw Error(fmt::format("{}: cannot be read, so nobody knows what a workspace uses; remove it "
                            "where that workspace is gone for good",
                            file.string()),
                Exit::kData);
  }
  return out;
}

// Nothing but what a plan or a first run leaves before there is a mark.
bool holds_nothing(const fs::path& root) {
  std::error_code error;
  fs::directory_iterator it(root, error);
  for (const fs::directory_iterator end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name != kLock && name != "inputs" && !name.starts_with("scratch-")) return false;
  }
  return !error;
}

void write_marker(const Cache& cache) {
  write_file_atomic(marker_of(cache),
                    ordered_json({{"format", 1}, {"cache", make_ulid()}}).dump(1) + "\n");
}

}  // namespace

FileLock lock_cache(const Cache& cache) {
  make_folders(cache.root());
  auto lock = FileLock::acquire(cache.root() / kLock, [] {
    xp::throw_if_stopped();
    return true;
  });
  XP_CHECK(lock.has_value(), "a wait without an end ended");
  return std::move(*lock);
}

bool is_marked(const Cache& cache) {
  std::error_code error;
  if (!fs::is_regular_file(marker_of(cache), error)) return false;
  const auto in = nlohmann::json::parse(read_file(marker_of(cache)), nullptr, false);
  return in.is_object() && in.value("format", 0) == 1 && in.contains("cache");
}

void mark_cache(const Cache& cache, const fs::path& workspace) {
  if (is_marked(cache)) return;
  std::error_code error;
  const bool own = fs::equivalent(cache.root(), workspace / "cache", error) && !error;
  if (!holds_nothing(cache.root())) {
    if (!own) return;
    const Uses known = uses_of_runs(workspace);
    CacheUser unknown;
    unknown.file = cache.root() / kUsers / kUnknown;
    for (const CacheEntry& entry : cache.entries()) {
      std::string use = entry.kind + "/" + entry.key;
      if (entry.ending.empty() && known.count(use) == 0) unknown.uses.insert(std::move(use));
    }
    if (!unknown.uses.empty()) write_user(unknown);
  }
  write_marker(cache);
}

void adopt_cache(const Cache& cache) {
  if (!is_marked(cache)) write_marker(cache);
  std::error_code error;
  fs::remove(cache.root() / kUsers / kUnknown, error);
}

std::vector<CacheUser> cache_users(const Cache& cache) {
  std::vector<CacheUser> out;
  const fs::path folder = cache.root() / kUsers;
  std::error_code error;
  fs::directory_iterator it(folder, error);
  if (error == std::errc::no_such_file_or_directory) return out;
  for (const fs::directory_iterator end; !error && it != end; it.increment(error)) {
    if (it->path().extension() == ".json") out.push_back(read_user(it->path()));
  }
  if (error) {
    throw Error(fmt::format("cannot read {}: {}", folder.string(), error.message()), Exit::kData);
  }
  std::sort(out.begin(), out.end(),
            [](const CacheUser& a, const CacheUser& b) { return a.file < b.file; });
  return out;
}

CacheUser cache_user(const Cache& cache, const fs::path& workspace) {
  CacheUser out;
  out.identity = make_identity(workspace);
  out.workspace = fs::canonical(workspace);
  out.host = host_name();
  const std::string name =
      Digest().add_field(out.identity).add_field(out.workspace.string()).hex().substr(0, 16);
  out.file = cache.root() / kUsers / (name + ".json");
  std::error_code error;
  out.uses = fs::exists(out.file, error) ? read_user(out.file).uses : uses_of_runs(workspace);
  return out;
}

void write_user(const CacheUser& user) {
  make_folders(user.file.parent_path());
  const ordered_json out = {{"format", 1},
                            {"workspace", user.workspace.string()},
                            {"identity", user.identity},
                            {"host", user.host},
                            {"stages", user.uses}};
  write_file_atomic(user.file,
                    out.dump(1, ' ', false, ordered_json::error_handler_t::replace) + "\n");
}

bool is_there(const CacheUser& user) {
  try {
    std::error_code error;
    return !user.identity.empty() && fs::is_directory(user.workspace / "runs", error) &&
           read_identity(user.workspace) == user.identity;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace xp::graph
