#include "core/graph/inputs_table.h"

#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/files.h"

namespace xp::graph {
namespace {

constexpr uint64_t kMagic = 0x32454c4254505845;  // "EXPTBLE2"

struct Header {
  uint64_t magic = kMagic;
  uint64_t count = 0;
  uint64_t path_bytes = 0;
  uint64_t bytes = 0;
  char digest[64] = {};
  char source[64] = {};
};
static_assert(sizeof(Header) % alignof(TableRecord) == 0);
static_assert(sizeof(TableRecord) == 80,
              "a record has no padding, so equal tables have equal bytes");

}  // namespace

FileHash to_hash(std::string_view hex) {
  FileHash out;
  const auto nibble = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = static_cast<uint8_t>(nibble(hex[2 * i]) * 16 + nibble(hex[2 * i + 1]));
  return out;
}

InputTable::~InputTable() {
  if (map_ != nullptr) ::munmap(map_, map_size_);
}

InputTable::InputTable(InputTable&& other) noexcept { *this = std::move(other); }

InputTable& InputTable::operator=(InputTable&& other) noexcept {
  std::swap(map_, other.map_);
  std::swap(map_size_, other.map_size_);
  std::swap(records_, other.records_);
  std::swap(paths_, other.paths_);
  std::swap(digest_, other.digest_);
  std::swap(source_, other.source_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

InputTable InputTable::open(const std::filesystem::path& file) {
  InputTable out;
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return out;
  struct stat info {};
  if (::fstat(fd, &info) == 0 && static_cast<size_t>(info.st_size) >= sizeof(Header)) {
    void* map = ::mmap(nullptr, static_cast<size_t>(info.st_size), PROT_READ, MAP_SHARED, fd, 0);
    if (map != MAP_FAILED) {
      out.map_ = map;
      out.map_size_ = static_cast<size_t>(info.st_size);
    }
  }
  ::close(fd);
  if (out.map_ == nullptr) return out;

  Header header;
  std::memcpy(&header, out.map_, sizeof(header));
  const uint64_t room = out.map_size_ - sizeof(Header);
  if (header.magic != kMagic || header.count > room / sizeof(TableRecord) ||
      header.path_bytes != room - header.count * sizeof(TableRecord)) {
    return out;
  }
  const char* base = static_cast<const char*>(out.map_) + sizeof(Header);
  const std::span<const TableRecord> records(reinterpret_cast<const TableRecord*>(base),
                                             header.count);
  for (const TableRecord& record : records) {
    if (record.path_offset > header.path_bytes ||
        record.path_size > header.path_bytes - record.path_offset) {
      return out;
    }
  }
  out.records_ = records;
  out.paths_ = std::string_view(base + header.count * sizeof(TableRecord), header.path_bytes);
  out.digest_.assign(header.digest, sizeof(header.digest));
  out.source_.assign(header.source, ::strnlen(header.source, sizeof(header.source)));
  out.bytes_ = header.bytes;
  return out;
}

void write_table(const std::filesystem::path& file, std::vector<TableRecord>& records,
                 const std::vector<std::string>& paths, const std::string& digest, uint64_t bytes,
                 std::string_view source) {
  Header header;
  header.count = records.size();
  header.bytes = bytes;
  std::memcpy(header.digest, digest.data(), std::min(digest.size(), sizeof(header.digest)));
  std::memcpy(header.source, source.data(), std::min(source.size(), sizeof(header.source)));
  std::string blob;
  for (size_t i = 0; i < records.size(); ++i) {
    records[i].path_offset = blob.size();
    records[i].path_size = static_cast<uint32_t>(paths[i].size());
    blob += paths[i];
  }
  header.path_bytes = blob.size();
  std::string out(reinterpret_cast<const char*>(&header), sizeof(header));
  out.append(reinterpret_cast<const char*>(records.data()), records.size() * sizeof(TableRecord));
  out += blob;
  write_file_atomic(file, out);
}

}  // namespace xp::graph
