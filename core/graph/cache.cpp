#include "core/graph/cache.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/clock.h"
#include "core/base/digest.h"
#include "core/base/error.h"
#include "core/base/process.h"

namespace xp::graph {
namespace fs = std::filesystem;
using nlohmann::ordered_json;

namespace {

constexpr std::string_view kManifest = "manifest.json";

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) {
    throw Error(
        fmt::format("cannot make the cache folder {}: {}; check its permissions, or choose another "
                    "folder with EXP_CACHE",
                    folder.string(), error.message()),
        Exit::kFailed);
  }
}

void rename_path(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) == 0) return;
  throw Error(fmt::format("cannot rename {} to {}: {}", from.string(), to.filename().string(),
                          std::strerror(errno)),
              Exit::kFailed);
}

// What says "nobody touched this file since": cheap to read, hard to keep by accident.
ordered_json stat_record(const fs::path& file) {
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0) return nullptr;
  const auto ns = [](const timespec& t) { return int64_t{t.tv_sec} * 1000000000 + t.tv_nsec; };
  return {info.st_size, ns(info.st_mtim), ns(info.st_ctim), info.st_ino};
}

ordered_json read_json(const fs::path& file) {
  std::error_code absent;
  if (!fs::exists(file, absent)) return {};
  try {
    return ordered_json::parse(read_file(file));
  } catch (const std::exception&) {
    return {};  // only ever a hint: a broken one is as good as none
  }
}

void write_hint(const fs::path& file, const ordered_json& value) noexcept {
  try {
    write_file_atomic(file, value.dump());
  } catch (const std::exception&) {
    // a hint that cannot be kept costs time later, nothing else
  }
}

}  // namespace

std::string holder_text(const Holder& holder) {
  std::string out = holder.run.empty() ? std::string("another process") : "run " + holder.run;
  if (!holder.stage.empty()) out += ", stage " + holder.stage;
  if (holder.pid != 0) out += fmt::format(", process {} on host {}", holder.pid, holder.host);
  if (holder.since_ns != 0) {
    // The wall clock may have been set back since: never a negative time.
    const double seconds =
        static_cast<double>(std::max<int64_t>(0, wall_ns() - holder.since_ns)) / 1e9;
    out += fmt::format(", since {}", duration_text(seconds));
  }
  return out;
}

fs::path Cache::folder(std::string_view kind, std::string_view key) const {
  return root_ / kind / key;
}

fs::path Cache::beside(std::string_view kind, std::string_view key, std::string_view ending) const {
  return root_ / kind / (std::string(key) + std::string(ending));
}

std::optional<Manifest> Cache::find(std::string_view kind, std::string_view key) const {
  const fs::path file = folder(kind, key) / kManifest;
  std::error_code error;
  if (!fs::exists(file, error)) return std::nullopt;
  try {
    Manifest manifest = parse_manifest(read_file(file), file);
    if (manifest.kind != kind || manifest.key != key) return std::nullopt;
    return manifest;
  } catch (const Error&) {
    return std::nullopt;
  }
}

bool Cache::has_partial(std::string_view kind, std::string_view key) const {
  std::error_code error;
  const fs::path partial = beside(kind, key, ".partial");
  return fs::is_directory(partial, error) && !fs::is_empty(partial, error);
}

std::vector<Manifest> Cache::all(std::string_view kind) const {
  std::vector<Manifest> out;
  std::error_code error;
  for (fs::directory_iterator it(root_ / kind, error), end; !error && it != end;
       it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name.find('.') != std::string::npos) continue;
    if (auto manifest = find(kind, name)) out.push_back(std::move(*manifest));
  }
  std::sort(out.begin(), out.end(), [](const Manifest& a, const Manifest& b) {
    return std::pair(b.created_ns, b.key) < std::pair(a.created_ns, a.key);
  });
  return out;
}

std::vector<CacheEntry> Cache::entries() const {
  constexpr size_t kKeyLetters = 32;
  std::vector<CacheEntry> out;
  for (const StageKindInfo& info : stage_kinds()) {
    const fs::path of_kind = root_ / info.name;
    std::error_code error;
    if (!fs::is_directory(of_kind, error)) continue;
    fs::directory_iterator it(of_kind, error);
    for (const fs::directory_iterator end; !error && it != end; it.increment(error)) {
      const std::string name = it->path().filename().string();
      const std::string key = name.substr(0, kKeyLetters);
      const bool ours = key.size() == kKeyLetters &&
                        key.find_first_not_of("0123456789abcdef") == std::string::npos &&
                        (name.size() == kKeyLetters || name[kKeyLetters] == '.');
      if (!ours) continue;
      out.push_back({it->path(), info.name, key,
                     name.size() == kKeyLetters ? "" : name.substr(kKeyLetters + 1)});
    }
    if (error) {
      throw Error(fmt::format("cannot read {}: {}", of_kind.string(), error.message()),
                  Exit::kData);
    }
  }
  std::sort(out.begin(), out.end(),
            [](const CacheEntry& a, const CacheEntry& b) { return a.path < b.path; });
  return out;
}

fs::path Cache::lock_file(std::string_view kind, std::string_view key) const {
  return beside(kind, key, ".lock");
}

std::optional<FileLock> Cache::use(std::string_view kind, std::string_view key) const {
  return FileLock::share(lock_file(kind, key));
}

std::string Cache::damage(const Manifest& manifest, bool deep) const {
  const fs::path base = folder(manifest.kind, manifest.key);
  const fs::path hint = beside(manifest.kind, manifest.key, ".verified");
  ordered_json seen = deep ? read_json(hint) : ordered_json();
  bool news = false;
  for (const OutputFile& file : manifest.files) {
    const fs::path path = base / file.path;
    std::error_code error;
    const uint64_t size = fs::file_size(path, error);
    if (error) return file.path + " is missing";
    if (size != file.size)
      return fmt::format("{} has {} bytes, its manifest says {}", file.path, size, file.size);
    if (!deep) continue;
    const ordered_json now = stat_record(path);
    if (size > kTrustAboveBytes && seen.is_object() && seen.value(file.path, ordered_json()) == now)
      continue;
    if (sha256_file(path) != file.sha256)
      return file.path + ": its content does not match its digest";
    if (size > kTrustAboveBytes) {
      seen[file.path] = now;
      news = true;
    }
  }
  if (news) write_hint(hint, seen);
  return "";
}

std::optional<Holder> Cache::holder(std::string_view kind, std::string_view key) const {
  std::error_code error;
  const fs::path lock = lock_file(kind, key);
  if (!fs::exists(lock, error) || FileLock::try_acquire(lock)) return std::nullopt;
  Holder out;
  const ordered_json in = read_json(beside(kind, key, ".holder"));
  if (!in.is_object()) return out;
  out.pid = in.value("pid", int64_t{0});
  out.host = in.value("host", "");
  out.run = in.value("run", "");
  out.stage = in.value("stage", "");
  out.since_ns = in.value("since_ns", int64_t{0});
  return out;
}

// What dead holders were writing: under the lock nobody alive can own it. The names are
// AtomicFile's, beside the output and inside of it, and those of kAtomic outputs.
void Cache::remove_stale(const Wanted& wanted) const {
  const auto is_temporary = [](const fs::path& path) {
    return path.filename().string().find(".tmp-") != std::string::npos;
  };
  std::error_code error;
  std::vector<fs::path> stale;
  for (fs::directory_iterator it(root_ / wanted.kind, error), end; !error && it != end;
       it.increment(error)) {
    const bool ours = it->path().filename().string().starts_with(wanted.key + ".");
    if (ours && is_temporary(it->path())) stale.push_back(it->path());
  }
  const fs::path partial = beside(wanted.kind, wanted.key, ".partial");
  for (fs::recursive_directory_iterator it(partial, error), end; !error && it != end;
       it.increment(error)) {
    if (is_temporary(it->path())) stale.push_back(it->path());
  }
  for (const fs::path& path : stale) fs::remove_all(path, error);
}

std::optional<Claim> Cache::claim(const Wanted& wanted, bool force,
                                  const std::function<bool(const Holder&)>& waiting,
                                  const std::function<void(const std::string&)>& damaged) const {
  make_folder(root_ / wanted.kind);
  Claim claim(*this, wanted);
  const auto wait = [&] {
    const std::optional<Holder> who = holder(wanted.kind, wanted.key);
    return !who || waiting(*who);
  };
  auto lock = FileLock::acquire(lock_file(wanted.kind, wanted.key), wait);
  if (!lock) return std::nullopt;
  claim.lock_.emplace(std::move(*lock));

  const fs::path final_path = folder(wanted.kind, wanted.key);
  std::error_code error;
  if (!force && fs::exists(final_path, error)) {
    std::optional<Manifest> found = find(wanted.kind, wanted.key);
    const std::string what = found ? damage(*found, true) : "its manifest cannot be read";
    if (what.empty()) {
      claim.finished_ = std::move(found);
      claim.output_ = final_path;
      claim.lock_.reset();
      return claim;
    }
    damaged(what);
    rename_path(final_path, beside(wanted.kind, wanted.key, ".corrupt-" + make_ulid()));
  }
  remove_stale(wanted);
  const bool resumes = wanted.resume == Resume::kResumes;
  claim.output_ = beside(wanted.kind, wanted.key, resumes ? ".partial" : ".tmp-" + make_ulid());
  if (force) {
    fs::remove_all(claim.output_, error);
    fs::remove(beside(wanted.kind, wanted.key, ".seconds"), error);
  }
  claim.resumed_ = resumes && has_partial(wanted.kind, wanted.key);
  if (claim.resumed_) {
    const ordered_json seconds = read_json(beside(wanted.kind, wanted.key, ".seconds"));
    if (seconds.is_number()) claim.earlier_seconds_ = seconds.get<double>();
  }
  make_folder(claim.output_);
  claim.owns_ = true;
  write_hint(beside(wanted.kind, wanted.key, ".holder"), {{"pid", ::getpid()},
                                                          {"host", host_name()},
                                                          {"run", wanted.run},
                                                          {"stage", wanted.stage},
                                                          {"since_ns", wall_ns()}});
  return claim;
}

Claim::Claim(const Cache& cache, Wanted wanted) : cache_(&cache), wanted_(std::move(wanted)) {}

Claim::Claim(Claim&& other) noexcept
    : cache_(other.cache_),
      wanted_(std::move(other.wanted_)),
      lock_(std::move(other.lock_)),
      finished_(std::move(other.finished_)),
      output_(std::move(other.output_)),
      resumed_(other.resumed_),
      owns_(std::exchange(other.owns_, false)),
      looked_ns_(other.looked_ns_),
      earlier_seconds_(other.earlier_seconds_) {
  other.lock_.reset();
}

Claim::~Claim() {
  if (!owns_) return;
  std::error_code ignored;
  if (wanted_.resume == Resume::kAtomic || fs::is_empty(output_, ignored))
    fs::remove_all(output_, ignored);
  fs::remove(cache_->beside(wanted_.kind, wanted_.key, ".holder"), ignored);
}

void Claim::abandon(double seconds) noexcept {
  if (!owns_ || wanted_.resume == Resume::kAtomic) return;
  earlier_seconds_ += seconds;
  write_hint(cache_->beside(wanted_.kind, wanted_.key, ".seconds"), earlier_seconds_);
}

void Claim::keep() {
  constexpr int64_t kEveryNs = 1'000'000'000;
  if (!owns_ || steady_ns() - looked_ns_ < kEveryNs) return;
  hold();
  looked_ns_ = steady_ns();
}

void Claim::hold() {
  if (lock_->in_place()) return;
  const fs::path file = cache_->lock_file(wanted_.kind, wanted_.key);
  auto again = FileLock::try_acquire(file);
  if (!again) {
    owns_ = false;  // what lies there is the other one's
    throw Error(fmt::format("{} was removed while this process held it, and another process has "
                            "it now: nothing more is written here; run the same command again",
                            file.string()),
                Exit::kFailed);
  }
  lock_.emplace(std::move(*again));
}

fs::path Claim::reads() const { return cache_->beside(wanted_.kind, wanted_.key, ".reads"); }

void Claim::take_over(Claim& unfinished) {
  XP_CHECK(owns_ && unfinished.owns_, "only what is unfinished can be taken over");
  std::error_code ignored;
  fs::remove_all(output_, ignored);
  rename_path(unfinished.output_, output_);
  resumed_ = true;
  earlier_seconds_ = unfinished.earlier_seconds_;
  abandon(0);
}

void Claim::discard() noexcept {
  if (!owns_) return;
  std::error_code ignored;
  fs::remove_all(output_, ignored);
  for (const char* ending : {".holder", ".seconds", ".reads"})
    fs::remove(cache_->beside(wanted_.kind, wanted_.key, ending), ignored);
  owns_ = false;
  lock_.reset();
}

Manifest Claim::publish(const std::map<std::string, double>& metrics, double seconds) {
  XP_CHECK(owns_, "publish of a claim that has nothing to make");
  hold();
  Manifest manifest;
  manifest.kind = wanted_.kind;
  manifest.version = wanted_.version;
  manifest.key = wanted_.key;
  manifest.stage = wanted_.stage;
  manifest.options = wanted_.options;
  manifest.inputs = wanted_.inputs;
  manifest.files = list_output(output_);
  manifest.metrics = metrics;
  manifest.run = wanted_.run;
  manifest.host = host_name();
  manifest.created_ns = wall_ns();
  manifest.seconds = earlier_seconds_ + seconds;
  write_file_atomic(output_ / kManifest, manifest_text(manifest));

  const fs::path final_path = cache_->folder(wanted_.kind, wanted_.key);
  std::error_code ignored;
  fs::path old;
  if (fs::exists(final_path, ignored)) {  // forced: readers of the old one keep what they have open
    old = cache_->beside(wanted_.kind, wanted_.key, ".old-" + make_ulid());
    rename_path(final_path, old);
  }
  XP_CHECK(publish_folder(output_, final_path),
           "somebody published " + final_path.string() + " without its lock");
  owns_ = false;
  if (!old.empty()) fs::remove_all(old, ignored);
  for (const char* ending : {".holder", ".seconds", ".verified"}) {
    fs::remove(cache_->beside(wanted_.kind, wanted_.key, ending), ignored);
  }
  lock_.reset();
  return manifest;
}

}  // namespace xp::graph
