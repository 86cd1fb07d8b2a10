#include "core/graph/inputs.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <exception>
#include <mutex>
#include <numeric>
#include <optional>
#include <thread>
#include <unordered_map>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/clock.h"
#include "core/base/digest.h"
#include "core/base/error.h"
#include "core/base/files.h"
#include "core/graph/inputs_table.h"

namespace xp::graph {
namespace fs = std::filesystem;

namespace {

constexpr int64_t kTickNs =
    2'000'000'000;                  // FAT keeps times to two seconds, the coarsest that we know
constexpr size_t kNamed = 3;        // changed files named in a difference
constexpr size_t kRemembered = 64;  // differences kept a root

FileStat to_stat(const struct stat& info) {
  const auto ns = [](const timespec& t) { return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec; };
  return {static_cast<uint64_t>(info.st_size), ns(info.st_mtim), ns(info.st_ctim), info.st_ino};
}

[[noreturn]] void cannot_read(const fs::path& path) {
  throw Error(fmt::format("cannot read {}: {}", path.string(), std::strerror(errno)), Exit::kData);
}

// Files met by a walk, beside what the table remembers of each.
struct Scan {
  explicit Scan(const InputTable& remembered) : table(remembered) {}

  // A file that is there, or, without `stat`, one that a list names and that is not.
  void meet(std::string_view path, const FileStat* stat) {
    const std::span<const TableRecord> records = table.records();
    const TableRecord* known = nullptr;
    if (next < records.size() && table.path(records[next]) == path) {
      known = &records[next++];
    } else {
      in_order = false;
      known = look_up(path);
    }
    const bool same = known != nullptr && (stat == nullptr ? known->state == TableRecord::kAbsent
                                                           : known->state == TableRecord::kKnown &&
                                                                 known->stat == *stat);
    bytes += stat == nullptr ? 0 : stat->size;
    absent += stat == nullptr ? 1 : 0;
    if (same && in_order && first_kept == SIZE_MAX) {
      ++count;  // the usual case: nothing to keep, the table has it
      return;
    }
    if (first_kept == SIZE_MAX) {
      first_kept = count;
      keep_front();
    }
    TableRecord record;
    if (stat == nullptr) {
      record.state = TableRecord::kAbsent;
    } else {
      record.stat = *stat;
      if (same) {
        record.hash = known->hash;
      } else {
        to_hash.push_back(files.size());
      }
    }
    files.push_back(record);
    paths.emplace_back(path);
    ++count;
  }

  // True when the walk met exactly what the table remembers.
  bool unchanged() const {
    return first_kept == SIZE_MAX && next == table.records().size() && count > 0;
  }

  // The records of the table that were passed over until the first surprise.
  void keep_front() {
    for (size_t i = 0; i < first_kept; ++i) {
      files.push_back(table.records()[i]);
      paths.emplace_back(table.path(table.records()[i]));
    }
  }

  const TableRecord* look_up(std::string_view path) {
    if (index.empty()) {
      for (const TableRecord& record : table.records()) index.emplace(table.path(record), &record);
    }
    const auto found = index.find(path);
    if (found == index.end()) return nullptr;
    // Go on from there: after one added or removed file the order is the old one again.
    next = static_cast<size_t>(found->second - table.records().data()) + 1;
    return found->second;
  }

  const InputTable& table;
  size_t next = 0;
  uint64_t count = 0;  // with absent ones
  uint64_t absent = 0;
  uint64_t bytes = 0;
  bool in_order = true;
  size_t first_kept = SIZE_MAX;
  std::vector<TableRecord> files;  // from the first surprise on: all files
  std::vector<std::string> paths;
  std::vector<size_t> to_hash;
  std::unordered_map<std::string_view, const TableRecord*> index;
};

class Folder {
 public:
  Folder(int parent, const char* name, const fs::path& whole) {
    const int fd = ::openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) cannot_read(whole);
    dir_ = ::fdopendir(fd);
    if (dir_ == nullptr) {
      ::close(fd);
      cannot_read(whole);
    }
  }
  ~Folder() { ::closedir(dir_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  DIR* get() const { return dir_; }
  int fd() const { return ::dirfd(dir_); }

 private:
  DIR* dir_;
};

// `path` is what is below the root, with a '/' at its end when not empty; it is reused, not copied.
void walk(int parent, const char* name, const fs::path& root, std::string& path,
          std::vector<std::pair<dev_t, ino_t>>& above, Scan& scan) {
  const Folder folder(parent, name, root / path);
  struct stat self {};
  if (::fstat(folder.fd(), &self) != 0) cannot_read(root / path);
  const std::pair<dev_t, ino_t> id(self.st_dev, self.st_ino);
  if (std::find(above.begin(), above.end(), id) != above.end()) return;  // a link back up
  above.push_back(id);
  std::vector<std::string> folders;
  const size_t size = path.size();
  while (true) {
    errno = 0;  // readdir tells the end and a fault apart by it alone
    const dirent* entry = ::readdir(folder.get());
    if (entry == nullptr) break;
    if (entry->d_name[0] == '.') continue;
    if (entry->d_type == DT_DIR) {
      folders.emplace_back(entry->d_name);
      continue;
    }
    struct stat info {};
    if (::fstatat(folder.fd(), entry->d_name, &info, 0) != 0) {
      if (errno == ENOENT) continue;  // gone since, or a link to nothing
      cannot_read(root / path / entry->d_name);
    }
    if (S_ISDIR(info.st_mode)) {
      folders.emplace_back(entry->d_name);
    } else if (S_ISREG(info.st_mode)) {
      path += entry->d_name;
      const FileStat stat = to_stat(info);
      scan.meet(path, &stat);
      path.resize(size);
    }
  }
  if (errno != 0) cannot_read(root / path);
  for (const std::string& below : folders) {
    path += below;
    path += '/';
    walk(folder.fd(), below.c_str(), root, path, above, scan);
    path.resize(size);
  }
  above.pop_back();
}

FileHash hash_file(const fs::path& file) {
  const std::string hex = sha256_file(file);
  FileHash out;
  const auto nibble = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = static_cast<uint8_t>(nibble(hex[2 * i]) * 16 + nibble(hex[2 * i + 1]));
  }
  return out;
}

// Reads what has to be read, on all cores: disks and SHA-256 are both faster so.
void hash_all(Scan& scan, const fs::path& root, const InputDigests::Progress& progress) {
  std::atomic<size_t> next{0}, done{0};
  std::atomic<bool> stop{false};
  std::mutex mutex;
  std::exception_ptr failure;
  const auto work = [&] {
    for (size_t at = next++; at < scan.to_hash.size() && !stop; at = next++) {
      TableRecord& record = scan.files[scan.to_hash[at]];
      const int64_t now = wall_ns();
      const int64_t touched = std::max(record.stat.mtime_ns, record.stat.ctime_ns);
      record.state = touched + kTickNs > now ? TableRecord::kUnsure : TableRecord::kKnown;
      try {
        const std::string& path = scan.paths[scan.to_hash[at]];
        record.hash = hash_file(path.empty() ? root : root / path);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!failure) failure = std::current_exception();
        stop = true;
      }
      ++done;
    }
  };
  if (progress && !scan.to_hash.empty()) progress(0, scan.to_hash.size());
  const size_t wanted = std::min<size_t>(std::max(1U, std::thread::hardware_concurrency()), 16);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < std::min(wanted, scan.to_hash.size()); ++i) threads.emplace_back(work);
  try {
    while (progress && done < scan.to_hash.size() && !stop) {
      progress(done, scan.to_hash.size());
      for (int i = 0; i < 20 && done < scan.to_hash.size() && !stop; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
      }
    }
  } catch (...) {
    stop = true;
    for (std::thread& thread : threads) thread.join();
    throw;
  }
  for (std::thread& thread : threads) thread.join();
  if (failure) std::rethrow_exception(failure);
  if (progress && !scan.to_hash.empty()) progress(done, scan.to_hash.size());
}

std::string digest_of(const Scan& scan) {
  std::vector<uint32_t> order(scan.files.size());
  std::iota(order.begin(), order.end(), 0U);
  std::sort(order.begin(), order.end(),
            [&](uint32_t a, uint32_t b) { return scan.paths[a] < scan.paths[b]; });
  Digest digest;
  digest.add_field("input-tree-1");
  for (const uint32_t i : order) {
    if (scan.files[i].state == TableRecord::kAbsent) continue;
    const FileHash& hash = scan.files[i].hash;
    digest.add_field(scan.paths[i]);
    digest.add_field(std::string_view(reinterpret_cast<const char*>(hash.data()), hash.size()));
  }
  return digest.hex();
}

std::string describe_changes(const InputTable& before, const Scan& now) {
  std::unordered_map<std::string_view, const TableRecord*> old;
  for (const TableRecord& record : before.records()) {
    if (record.state != TableRecord::kAbsent) old.emplace(before.path(record), &record);
  }
  std::vector<std::string> named;
  size_t total = 0;
  const auto say = [&](std::string_view path, const char* what) {
    if (++total <= kNamed)
      named.push_back(path.empty() ? "content " + std::string(what)
                                   : fmt::format("{} {}", path, what));
  };
  for (size_t i = 0; i < now.files.size(); ++i) {
    if (now.files[i].state == TableRecord::kAbsent) continue;
    const auto found = old.find(now.paths[i]);
    if (found == old.end()) {
      say(now.paths[i], "added");
      continue;
    }
    if (found->second->hash != now.files[i].hash) say(now.paths[i], "changed");
    old.erase(found);
  }
  for (const TableRecord& record : before.records()) {
    if (old.count(before.path(record)) != 0) say(before.path(record), "removed");
  }
  std::string out = fmt::format("{}", fmt::join(named, ", "));
  if (total > kNamed) out += fmt::format(" and {} more", total - kNamed);
  return out;
}

nlohmann::json read_history(const fs::path& file) {
  std::error_code error;
  if (!fs::exists(file, error)) return nlohmann::json::array();
  const nlohmann::json in = nlohmann::json::parse(read_file(file), nullptr, false);
  return in.is_array() ? in : nlohmann::json::array();
}

void remember_change(const fs::path& file, const std::string& from, const std::string& to,
                     const std::string& what) {
  nlohmann::json history = read_history(file);
  history.push_back({{"from", from}, {"to", to}, {"what", what}});
  while (history.size() > kRemembered) history.erase(history.begin());
  write_file_atomic(file, history.dump(1, ' ', false, nlohmann::json::error_handler_t::replace));
}

fs::path table_base(const fs::path& memory, const fs::path& root) {
  return memory / sha256(fs::absolute(root).lexically_normal().string()).substr(0, 16);
}

InputDigest finish(Scan& scan, const fs::path& memory, const fs::path& root, const fs::path& base,
                   std::string_view source, const InputDigests::Progress& progress) {
  InputDigest out;
  out.files = scan.count - scan.absent;
  out.bytes = scan.bytes;
  if (scan.unchanged() && scan.table.source() == source) {
    out.digest = scan.table.digest();
    return out;
  }
  if (scan.first_kept == SIZE_MAX) {  // only that files are missing at the end
    scan.first_kept = scan.count;
    scan.keep_front();
  }
  hash_all(scan, root, progress);
  out.hashed = scan.to_hash.size();
  out.digest = digest_of(scan);
  std::error_code error;
  fs::create_directories(memory, error);
  try {
    const std::string& before = scan.table.digest();
    if (!before.empty() && before != out.digest) {
      remember_change(base.string() + ".changes", before, out.digest,
                      describe_changes(scan.table, scan));
    }
    write_table(base.string() + ".table", scan.files, scan.paths, out.digest, out.bytes, source);
  } catch (const Error&) {
    // A memory that cannot be kept costs time at the next plan, nothing else.
  }
  return out;
}

}  // namespace

InputDigest InputDigests::tree(const fs::path& root, const Progress& progress) {
  if (!once_) return look(root, progress);
  const auto [at, fresh] = seen_.try_emplace(root.string());
  if (fresh) {
    try {
      at->second = look(root, progress);
    } catch (...) {
      seen_.erase(at);
      throw;
    }
  }
  return at->second;
}

InputDigest InputDigests::look(const fs::path& root, const Progress& progress) const {
  const fs::path base = table_base(memory_, root);
  const InputTable table = InputTable::open(base.string() + ".table");
  Scan scan(table);
  struct stat info {};
  if (::stat(root.c_str(), &info) != 0) cannot_read(root);
  if (S_ISREG(info.st_mode)) {
    const FileStat stat = to_stat(info);
    scan.meet("", &stat);  // the digest is of what the path holds, not of the path
    return finish(scan, memory_, root, base, "", progress);
  }
  std::string path;
  std::vector<std::pair<dev_t, ino_t>> above;
  walk(AT_FDCWD, root.c_str(), root, path, above, scan);
  return finish(scan, memory_, root, base, "", progress);
}

InputDigest InputDigests::list(const fs::path& name, std::string_view source,
                               const std::function<std::vector<fs::path>()>& read,
                               const Progress& progress) {
  const fs::path base = table_base(memory_, name / "list");
  const InputTable table = InputTable::open(base.string() + ".table");
  Scan scan(table);
  const auto look = [&](const std::string& file) {
    struct stat info {};
    const bool there = ::stat(file.c_str(), &info) == 0;
    const FileStat stat = there ? to_stat(info) : FileStat{};
    scan.meet(file, there ? &stat : nullptr);
  };
  if (!source.empty() && table.source() == source) {
    std::string file;
    for (const TableRecord& record : table.records()) look(file = table.path(record));
  } else {
    for (const fs::path& file : read()) look(file.string());
  }
  return finish(scan, memory_, fs::path(), base, source, progress);
}

std::string InputDigests::last_known(const fs::path& root) const {
  return InputTable::open(table_base(memory_, root).string() + ".table").digest();
}

std::string InputDigests::difference(const fs::path& root, std::string_view from,
                                     std::string_view to) const {
  const nlohmann::json history = read_history(table_base(memory_, root).string() + ".changes");
  // Backwards from `to`: the newest way that leads there.
  std::string at(to), out;
  for (auto it = history.rbegin(); it != history.rend() && at != from; ++it) {
    if (it->value("to", "") != at) continue;
    const std::string what = it->value("what", "");
    out = out.empty() ? what : what + ", then " + out;
    at = it->value("from", "");
  }
  return at == from ? out : "";
}

}  // namespace xp::graph
