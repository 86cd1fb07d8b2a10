#include "core/graph/seen_files.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "core/base/digest.h"
#include "core/base/error.h"
#include "core/base/files.h"
#include "core/graph/input_scan.h"

namespace xp::graph {
namespace fs = std::filesystem;

namespace {

// One file in the log; its path follows.
struct LogRecord {
  FileStat stat;
  FileHash hash{};
  uint64_t device = 0;
  uint32_t unsure = 0;
  uint32_t path_size = 0;
  uint64_t sum = 0;  // XXH3-64 of all before, then of the path
};
static_assert(sizeof(LogRecord) == 88, "a record has no padding");

uint64_t sum_of(const LogRecord& record, std::string_view path) {
  LogRecord unsummed = record;
  unsummed.sum = checksum64(std::as_bytes(std::span(path)));
  return checksum64(std::as_bytes(std::span(&unsummed, 1)));
}

}  // namespace

SeenFiles::SeenFiles(const fs::path& log) : log_path_(log) {
  recover(log);
  log_ = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (log_ < 0) {
    throw Error(fmt::format("cannot write {}: {}", log.string(), std::strerror(errno)),
                Exit::kFailed);
  }
}

SeenFiles::~SeenFiles() { ::close(log_); }

// Keeps the longest prefix of whole records and cuts off the rest.
void SeenFiles::recover(const fs::path& log) {
  std::error_code error;
  if (!fs::exists(log, error)) return;
  const std::string text = read_file(log);
  size_t at = 0;
  while (text.size() - at >= sizeof(LogRecord)) {
    LogRecord record;
    std::memcpy(&record, text.data() + at, sizeof record);
    if (text.size() - at - sizeof record < record.path_size) break;
    const std::string_view path(text.data() + at + sizeof record, record.path_size);
    if (sum_of(record, path) != record.sum) break;
    at += sizeof record + path.size();
    keep(record.device, {record.stat, record.hash, record.unsure != 0, false, std::string(path)});
  }
  if (at < text.size()) fs::resize_file(log, at);
}

void SeenFiles::keep(uint64_t device, Seen&& seen) {
  const Id id{device, seen.stat.inode};
  const auto [at, fresh] = files_.try_emplace(id, seen);
  if (fresh || (at->second.stat == seen.stat && at->second.hash == seen.hash)) return;
  changed_.push_back(seen.path);  // clips of it were cut from two contents
  at->second = std::move(seen);
}

void SeenFiles::write(uint64_t device, const Seen& seen) {
  LogRecord record;
  record.stat = seen.stat;
  record.hash = seen.hash;
  record.device = device;
  record.unsure = seen.unsure ? 1 : 0;
  record.path_size = static_cast<uint32_t>(seen.path.size());
  record.sum = sum_of(record, seen.path);
  std::string line(reinterpret_cast<const char*>(&record), sizeof record);
  line += seen.path;
  // One write a record: a kill leaves whole ones, a full disk a torn one that the reader cuts off.
  const ssize_t done = ::write(log_, line.data(), line.size());
  if (done == static_cast<ssize_t>(line.size())) return;
  throw Error(fmt::format("cannot write {}: {}", log_path_.string(),
                          std::strerror(done < 0 ? errno : ENOSPC)),
              Exit::kFailed);
}

void SeenFiles::add(const std::string& file, const struct stat& before, const struct stat& after,
                    int64_t began_ns, std::span<const std::byte> content) {
  Seen seen;
  seen.stat = file_stat_of(before);
  seen.path = file;
  if (seen.stat != file_stat_of(after) || content.size() != seen.stat.size) {
    const std::lock_guard lock(mutex_);
    changed_.push_back(file);
    return;
  }
  {
    // A clip cut from a file that another one came from: hashed already.
    const std::lock_guard lock(mutex_);
    const auto known = files_.find({before.st_dev, seen.stat.inode});
    if (known != files_.end() && known->second.stat == seen.stat && !known->second.unsure) return;
  }
  seen.hash = to_hash(Digest().add(content).hex());
  seen.unsure = is_unsure(seen.stat, began_ns);
  const std::lock_guard lock(mutex_);
  write(before.st_dev, seen);
  keep(before.st_dev, std::move(seen));
}

bool SeenFiles::fill(TableRecord& record, uint64_t device) {
  const std::lock_guard lock(mutex_);
  const auto at = files_.find({device, record.stat.inode});
  if (at == files_.end() || at->second.stat != record.stat) return false;
  at->second.found = true;
  record.hash = at->second.hash;
  record.state = at->second.unsure ? TableRecord::kUnsure : TableRecord::kKnown;
  return true;
}

void SeenFiles::look_again() {
  const std::lock_guard lock(mutex_);
  for (auto& [id, seen] : files_) seen.found = false;
}

std::vector<std::string> SeenFiles::changed() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> out = changed_;
  for (const auto& [id, seen] : files_) {
    if (seen.found) continue;
    struct stat info {};
    const bool same = ::stat(seen.path.c_str(), &info) == 0 && info.st_dev == id.device &&
                      file_stat_of(info) == seen.stat;
    if (!same) out.push_back(seen.path);
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

uint64_t SeenFiles::bytes() const {
  const std::lock_guard lock(mutex_);
  uint64_t out = 0;
  for (const auto& [id, seen] : files_) out += seen.stat.size;
  return out;
}

}  // namespace xp::graph
