#include "data/journal.h"

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>

#include "core/base/digest.h"
#include "core/base/error.h"
#include "core/base/files.h"

namespace xp::data {
namespace fs = std::filesystem;
namespace {

uint64_t sum_of(std::string_view text) { return checksum64(std::as_bytes(std::span(text))); }

/// "good SAMPLES BYTES CHECKSUM SECONDS SCALE SUM" or "bad SUM WHY": SUM is the checksum of all the
/// rest.
std::string line_of(const ClipRecord& record) {
  if (!record.problem.empty()) {
    std::string why = record.problem;
    for (char& c : why) c = c == '\n' || c == '\r' ? ' ' : c;
    return fmt::format("bad {:016x} {}\n", sum_of(why), why);
  }
  const std::string body = fmt::format("{} {} {:016x} {:a} {:a}", record.samples, record.bytes,
                                       record.checksum, record.source_s, record.scale);
  return fmt::format("good {} {:016x}\n", body, sum_of(body));
}

std::optional<ClipRecord> parse_line(std::string_view line) {
  const auto hex = [](std::string_view text) {
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
    return error == std::errc() && end == text.data() + text.size() ? std::optional(value)
                                                                    : std::nullopt;
  };
  ClipRecord record;
  if (line.starts_with("bad ") && line.size() > 21) {
    record.problem = line.substr(21);
    if (hex(line.substr(4, 16)) != sum_of(record.problem)) return std::nullopt;
    return record;
  }
  if (!line.starts_with("good ") || line.size() < 24) return std::nullopt;
  const std::string body(line.substr(5, line.size() - 22));
  if (hex(line.substr(line.size() - 16)) != sum_of(body)) return std::nullopt;
  unsigned long long samples = 0;
  unsigned long long bytes = 0;
  unsigned long long checksum = 0;
  if (std::sscanf(body.c_str(), "%llu %llu %llx %la %a", &samples, &bytes, &checksum,
                  &record.source_s, &record.scale) != 5)
    return std::nullopt;
  record.samples = samples;
  record.bytes = bytes;
  record.checksum = checksum;
  return record;
}

/// Whole lines with valid sums, from the start; `used` counts their bytes.
std::vector<ClipRecord> parse_lines(std::string_view text, size_t& used,
                                    std::vector<size_t>* ends = nullptr) {
  std::vector<ClipRecord> records;
  used = 0;
  while (true) {
    const size_t end = text.find('\n', used);
    if (end == std::string_view::npos) return records;
    auto record = parse_line(text.substr(used, end - used));
    if (!record) return records;
    records.push_back(std::move(*record));
    used = end + 1;
    if (ends != nullptr) ends->push_back(used);
  }
}

void write_fully(int fd, std::span<const std::byte> bytes, const fs::path& path) {
  while (!bytes.empty()) {
    const auto wrote = ::write(fd, bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) {
      const int error = errno;
      const char* hint = error == ENOSPC ? "; free some space and run the same command again" : "";
      throw Error(fmt::format("cannot write {}: {}{}", path.string(), std::strerror(error), hint),
                  Exit::kFailed);
    }
    bytes = bytes.subspan(static_cast<size_t>(wrote));
  }
}

int open_append(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (fd < 0)
    throw Error(fmt::format("cannot write {}: {}", path.string(), std::strerror(errno)),
                Exit::kFailed);
  return fd;
}

void truncate_to(int fd, uint64_t size, const fs::path& path) {
  if (::ftruncate(fd, static_cast<off_t>(size)) != 0) {
    throw Error(fmt::format("cannot shorten {}: {}", path.string(), std::strerror(errno)),
                Exit::kFailed);
  }
}

fs::path with(const fs::path& base, const char* extension) { return {base.string() + extension}; }

}  // namespace

ShardJournal::ShardJournal(const fs::path& base)
    : sound_path_(with(base, ".sound")), lines_path_(with(base, ".journal")) {
  sound_ = open_append(sound_path_);
  lines_ = open_append(lines_path_);
  recover();
}

ShardJournal::~ShardJournal() {
  if (sound_ >= 0) ::close(sound_);
  if (lines_ >= 0) ::close(lines_);
}

void ShardJournal::recover() {
  const std::string text = read_file(lines_path_);
  size_t used = 0;
  std::vector<size_t> ends;
  std::vector<ClipRecord> records = parse_lines(text, used, &ends);
  // A process that was killed leaves all it wrote; a machine that lost power may leave lines
  // without their bytes. So the bytes are checked too: it is some gigabytes a second.
  std::vector<std::byte> bytes;
  uint64_t offset = 0;
  size_t kept = 0;
  for (; kept < records.size(); ++kept) {
    const ClipRecord& record = records[kept];
    if (!record.problem.empty()) continue;
    bytes.resize(record.bytes);
    size_t got = 0;
    while (got < bytes.size()) {
      const auto n =
          ::pread(sound_, bytes.data() + got, bytes.size() - got, static_cast<off_t>(offset + got));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) break;
      got += static_cast<size_t>(n);
    }
    if (got < bytes.size() || checksum64(bytes) != record.checksum) break;
    offset += record.bytes;
  }
  records.resize(kept);
  truncate_to(lines_, kept == 0 ? 0 : ends[kept - 1], lines_path_);
  truncate_to(sound_, offset, sound_path_);
  sound_size_ = offset;
  records_ = std::move(records);
}

void ShardJournal::append(ClipRecord record, std::span<const std::byte> stored) {
  XP_CHECK(record.bytes == stored.size() && record.problem.empty() == !stored.empty(),
           "record and bytes disagree");
  write_fully(sound_, stored, sound_path_);
  const std::string line = line_of(record);
  write_fully(lines_, std::as_bytes(std::span(line)), lines_path_);
  sound_size_ += stored.size();
  records_.push_back(std::move(record));
}

void ShardJournal::drop_sound() {
  ::close(std::exchange(sound_, -1));
  std::error_code ignored;
  fs::remove(sound_path_, ignored);
}

std::vector<ClipRecord> ShardJournal::read(const fs::path& base) {
  const fs::path lines = with(base, ".journal");
  std::error_code ignored;
  if (!fs::exists(lines, ignored)) return {};
  size_t used = 0;
  return parse_lines(read_file(lines), used);
}

}  // namespace xp::data
