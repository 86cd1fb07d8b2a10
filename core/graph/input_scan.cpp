#include "core/graph/input_scan.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <exception>
#include <mutex>
#include <numeric>
#include <thread>
#include <utility>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "core/base/clock.h"
#include "core/base/digest.h"
#include "core/base/error.h"

namespace xp::graph {
namespace fs = std::filesystem;

namespace {

constexpr int64_t kTickNs =
    2'000'000'000;  // FAT keeps times to two seconds, the coarsest that we know

[[noreturn]] void cannot_read(const fs::path& path) {
  throw Error(fmt::format("cannot read {}: {}", path.string(), std::strerror(errno)), Exit::kData);
}

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
void walk_below(int parent, const char* name, const fs::path& root, std::string& path,
                std::vector<std::pair<dev_t, ino_t>>& above, const Counted* counted, Scan& scan) {
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
    path += entry->d_name;
    const bool counts = counted == nullptr || counted->file(path);
    path.resize(size);
    if (!counts && entry->d_type == DT_REG) continue;
    struct stat info {};
    if (::fstatat(folder.fd(), entry->d_name, &info, 0) != 0) {
      // Gone since, a link to nothing, or one in a circle; what does not count may be anything.
      if (errno == ENOENT || errno == ELOOP || !counts) continue;
      cannot_read(root / path / entry->d_name);
    }
    if (S_ISDIR(info.st_mode)) {
      folders.emplace_back(entry->d_name);
    } else if (S_ISREG(info.st_mode) && counts) {
      path += entry->d_name;
      scan.meet(path, file_stat_of(info), info.st_dev);
      path.resize(size);
    }
  }
  if (errno != 0) cannot_read(root / path);
  for (const std::string& below : folders) {
    path += below;
    path += '/';
    walk_below(folder.fd(), below.c_str(), root, path, above, counted, scan);
    path.resize(size);
  }
  above.pop_back();
}

// Indices of the files, sorted by path.
std::vector<uint32_t> by_path(const Scan& scan) {
  std::vector<uint32_t> order(scan.files.size());
  std::iota(order.begin(), order.end(), 0U);
  std::sort(order.begin(), order.end(),
            [&](uint32_t a, uint32_t b) { return scan.paths[a] < scan.paths[b]; });
  return order;
}

void add_content(Digest& digest, std::string_view path, const FileHash& hash) {
  digest.add_field(path);
  digest.add_field(std::string_view(reinterpret_cast<const char*>(hash.data()), hash.size()));
}

constexpr std::string_view kContentFormat = "input-tree-1";

}  // namespace

FileStat file_stat_of(const struct stat& info) {
  const auto ns = [](const timespec& t) { return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec; };
  return {static_cast<uint64_t>(info.st_size), ns(info.st_mtim), ns(info.st_ctim), info.st_ino};
}

bool is_unsure(const FileStat& stat, int64_t began_ns) {
  return std::max(stat.mtime_ns, stat.ctime_ns) + kTickNs > began_ns;
}

void Scan::meet(std::string_view path, const FileStat& stat, uint64_t device) {
  add(path, &stat, device);
}

void Scan::meet_absent(std::string_view path) { add(path, nullptr, 0); }

void Scan::add(std::string_view path, const FileStat* stat, uint64_t device) {
  const std::span<const TableRecord> records = table_.records();
  const TableRecord* known = nullptr;
  if (next_ < records.size() && table_.path(records[next_]) == path) {
    known = &records[next_++];
  } else {
    in_order_ = false;
    known = look_up(path);
  }
  const bool same = known != nullptr &&
                    (stat == nullptr ? known->state == TableRecord::kAbsent
                                     : known->state == TableRecord::kKnown && known->stat == *stat);
  bytes_ += stat == nullptr ? 0 : stat->size;
  absent_ += stat == nullptr ? 1 : 0;
  if (same && in_order_ && first_kept_ == SIZE_MAX) {
    ++count_;  // the usual case: nothing to keep, the table has it
    return;
  }
  if (first_kept_ == SIZE_MAX) keep_all();
  TableRecord record;
  if (stat == nullptr) {
    record.state = TableRecord::kAbsent;
  } else {
    record.stat = *stat;
    if (same) {
      record.hash = known->hash;
    } else {
      unread.push_back({files.size(), device});
    }
  }
  files.push_back(record);
  paths.emplace_back(path);
  ++count_;
}

void Scan::walk(const fs::path& root, const Counted* counted) {
  std::string path;
  std::vector<std::pair<dev_t, ino_t>> above;
  walk_below(AT_FDCWD, root.c_str(), root, path, above, counted, *this);
}

bool Scan::unchanged() const {
  return first_kept_ == SIZE_MAX && next_ == table_.records().size() && count_ > 0;
}

// The records of the table that were passed over until the first surprise.
void Scan::keep_all() {
  if (first_kept_ != SIZE_MAX) return;
  first_kept_ = count_;
  for (size_t i = 0; i < first_kept_; ++i) {
    files.push_back(table_.records()[i]);
    paths.emplace_back(table_.path(table_.records()[i]));
  }
}

const TableRecord* Scan::look_up(std::string_view path) {
  if (index_.empty()) {
    for (const TableRecord& record : table_.records()) index_.emplace(table_.path(record), &record);
  }
  const auto found = index_.find(path);
  if (found == index_.end()) return nullptr;
  // Go on from there: after one added or removed file the order is the old one again.
  next_ = static_cast<size_t>(found->second - table_.records().data()) + 1;
  return found->second;
}

uint64_t Scan::unread_bytes() const {
  uint64_t out = 0;
  for (const Unread& one : unread) out += files[one.at].stat.size;
  return out;
}

void hash_unread(Scan& scan, const fs::path& root,
                 const std::function<void(uint64_t, uint64_t)>& progress) {
  const size_t total = scan.unread.size();
  if (total == 0) return;
  std::atomic<size_t> next{0}, done{0};
  std::atomic<bool> stop{false};
  std::mutex mutex;
  std::exception_ptr failure;
  const auto work = [&] {
    for (size_t i = next++; i < total && !stop; i = next++) {
      const size_t at = scan.unread[i].at;
      TableRecord& record = scan.files[at];
      record.state = is_unsure(record.stat, wall_ns()) ? TableRecord::kUnsure : TableRecord::kKnown;
      try {
        const std::string& path = scan.paths[at];
        record.hash = to_hash(sha256_file(path.empty() ? root : root / path));
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!failure) failure = std::current_exception();
        stop = true;
      }
      ++done;
    }
  };
  if (progress) progress(0, total);
  const size_t wanted = std::min<size_t>(std::max(1U, std::thread::hardware_concurrency()), 16);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < std::min(wanted, total); ++i) threads.emplace_back(work);
  try {
    while (progress && done < total && !stop) {
      progress(done, total);
      for (int i = 0; i < 20 && done < total && !stop; ++i) {
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
  if (progress) progress(done, total);
}

std::string content_digest(const Scan& scan) {
  Digest digest;
  digest.add_field(kContentFormat);
  for (const uint32_t i : by_path(scan)) {
    if (scan.files[i].state != TableRecord::kAbsent)
      add_content(digest, scan.paths[i], scan.files[i].hash);
  }
  return digest.hex();
}

std::string content_digest(const InputTable& table, const Counted& counted) {
  std::vector<const TableRecord*> order;
  for (const TableRecord& record : table.records()) {
    if (record.state != TableRecord::kAbsent && counted.file(table.path(record)))
      order.push_back(&record);
  }
  std::sort(order.begin(), order.end(), [&](const TableRecord* a, const TableRecord* b) {
    return table.path(*a) < table.path(*b);
  });
  Digest digest;
  digest.add_field(kContentFormat);
  for (const TableRecord* record : order) add_content(digest, table.path(*record), record->hash);
  return digest.hex();
}

void fill_from(Scan& scan, const InputTable& table) {
  if (scan.unread.empty() || table.records().empty()) return;
  std::unordered_map<std::string_view, const TableRecord*> known;
  for (const TableRecord& record : table.records()) {
    if (record.state == TableRecord::kKnown) known.emplace(table.path(record), &record);
  }
  std::erase_if(scan.unread, [&](const Scan::Unread& one) {
    TableRecord& file = scan.files[one.at];
    const auto at = known.find(scan.paths[one.at]);
    if (at == known.end() || at->second->stat != file.stat) return false;
    file.hash = at->second->hash;
    return true;
  });
}

std::string listing_digest(const Scan& scan) {
  Digest digest;
  digest.add_field("input-listing-1");
  for (const uint32_t i : by_path(scan)) {
    const FileStat& stat = scan.files[i].stat;
    digest.add_field(scan.paths[i]);
    digest.add_field(
        fmt::format("{} {} {} {}", stat.size, stat.mtime_ns, stat.ctime_ns, stat.inode));
  }
  return digest.hex();
}

}  // namespace xp::graph
