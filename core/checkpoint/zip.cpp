#include "core/checkpoint/zip.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <zlib.h>

#include "core/checkpoint/crc32.h"

namespace xp::checkpoint {
namespace {

// Records of the format, by signature (APPNOTE.TXT of PKWARE, sections 4.3.7, 4.3.12, 4.3.14-16).
constexpr uint32_t kLocalHeader = 0x04034b50;
constexpr uint32_t kDirectoryHeader = 0x02014b50;
constexpr uint32_t kEnd = 0x06054b50;
constexpr uint32_t kEnd64 = 0x06064b50;
constexpr uint32_t kEnd64Locator = 0x07064b50;
constexpr uint32_t kSeeZip64 = 0xffffffff;
constexpr uint16_t kZip64Extra = 1;
constexpr uint64_t kAlignment = 64;

}  // namespace

bool looks_like_zip(std::span<const std::byte> bytes) {
  return bytes.size() >= 4 && std::memcmp(bytes.data(), "PK\x03\x04", 4) == 0;
}

template <class T>
T ZipReader::number(uint64_t offset) const {
  if (offset > bytes_.size() || bytes_.size() - offset < sizeof(T))
    refuse(file_, "the zip container is cut short");
  T value;
  std::memcpy(&value, bytes_.data() + offset, sizeof value);
  return value;
}

ZipReader::ZipReader(std::filesystem::path file, std::span<const std::byte> bytes, bool checksums)
    : file_(std::move(file)), bytes_(bytes), checksums_(checksums) {
  // The end record is the last thing but for a comment of at most 65535 bytes.
  constexpr uint64_t kEndBytes = 22;
  if (bytes.size() < kEndBytes) refuse(file_, "the zip container is cut short");
  const uint64_t last = bytes.size() - kEndBytes;
  const uint64_t first = last > 65535 ? last - 65535 : 0;
  uint64_t end = last + 1;
  while (end > first && number<uint32_t>(end - 1) != kEnd) --end;
  if (end == first)
    refuse(file_,
           "the zip container has no directory; the file is damaged or the download was cut short");
  --end;
  uint64_t count = number<uint16_t>(end + 10);
  uint64_t size = number<uint32_t>(end + 12);
  uint64_t offset = number<uint32_t>(end + 16);
  if (end >= 20 && number<uint32_t>(end - 20) == kEnd64Locator) {
    const auto end64 = number<uint64_t>(end - 12);
    if (number<uint32_t>(end64) != kEnd64) refuse(file_, "the zip64 directory is damaged");
    count = number<uint64_t>(end64 + 32);
    size = number<uint64_t>(end64 + 40);
    offset = number<uint64_t>(end64 + 48);
  }
  read_directory(offset, size, count);
}

void ZipReader::read_directory(uint64_t offset, uint64_t size, uint64_t count) {
  if (offset > bytes_.size() || size > bytes_.size() - offset)
    refuse(file_, "the zip directory is damaged");
  if (count > size / 46) refuse(file_, "the zip directory is damaged");
  uint64_t at = offset;
  for (uint64_t i = 0; i < count; ++i) {
    if (number<uint32_t>(at) != kDirectoryHeader) refuse(file_, "the zip directory is damaged");
    if ((number<uint16_t>(at + 8) & 1U) != 0) refuse(file_, "the zip container is encrypted");
    Member m;
    m.method = number<uint16_t>(at + 10);
    m.crc = number<uint32_t>(at + 16);
    m.stored = number<uint32_t>(at + 20);
    m.size = number<uint32_t>(at + 24);
    m.header = number<uint32_t>(at + 42);
    const uint64_t name_size = number<uint16_t>(at + 28);
    const uint64_t extra_size = number<uint16_t>(at + 30);
    const uint64_t comment_size = number<uint16_t>(at + 32);
    const uint64_t name_at = at + 46;
    const uint64_t extra_at = name_at + name_size;
    const uint64_t next = extra_at + extra_size + comment_size;
    if (next > bytes_.size()) refuse(file_, "the zip directory is damaged");
    // Sizes beyond 32 bits stand in the zip64 field, those that need it, in this order.
    for (uint64_t e = extra_at; e + 4 <= extra_at + extra_size;) {
      const auto id = number<uint16_t>(e);
      const uint64_t field_end = e + 4 + number<uint16_t>(e + 2);
      if (field_end > extra_at + extra_size) break;
      if (id == kZip64Extra) {
        uint64_t p = e + 4;
        for (uint64_t* value : {&m.size, &m.stored, &m.header}) {
          if (*value != kSeeZip64 || p + 8 > field_end) continue;
          *value = number<uint64_t>(p);
          p += 8;
        }
      }
      e = field_end;
    }
    const std::string name(reinterpret_cast<const char*>(bytes_.data()) + name_at, name_size);
    if (!members_.emplace(name, m).second)
      refuse(file_, "the zip container holds '" + name + "' twice");
    at = next;
  }
}

std::vector<std::string> ZipReader::names() const {
  std::vector<std::string> names;
  for (const auto& [name, member] : members_) names.push_back(name);
  std::sort(names.begin(), names.end());
  return names;
}

ZipReader::Content ZipReader::read(const std::string& name, int64_t& budget) const {
  Content content = unpack(name, budget);
  if (checksums_ && crc32_of(content.bytes) != members_.at(name).crc) {
    refuse(file_, "'" + name +
                      "' in the zip container is damaged: its bytes are not those of its checksum "
                      "(CRC-32); copy or download the file again");
  }
  return content;
}

ZipReader::Content ZipReader::unpack(const std::string& name, int64_t& budget) const {
  const auto found = members_.find(name);
  if (found == members_.end()) refuse(file_, "the zip container lacks '" + name + "'");
  const Member& m = found->second;
  if (number<uint32_t>(m.header) != kLocalHeader)
    refuse(file_, "'" + name + "' in the zip container is damaged");
  const uint64_t begin =
      m.header + 30 + number<uint16_t>(m.header + 26) + number<uint16_t>(m.header + 28);
  if (begin > bytes_.size() || m.stored > bytes_.size() - begin)
    refuse(file_, "'" + name + "' in the zip container is cut short");
  const auto stored = bytes_.subspan(begin, m.stored);
  if (m.method == 0) {
    if (m.size != m.stored) refuse(file_, "'" + name + "' in the zip container is damaged");
    return {stored, nullptr};
  }
  if (m.method != Z_DEFLATED)
    refuse(file_, "'" + name + "' is packed by a method other than deflate");
  if (budget < 0 || m.size > static_cast<uint64_t>(budget))
    refuse(file_, "'" + name + "' unpacks to more bytes than such a file may");
  budget -= static_cast<int64_t>(m.size);

  auto unpacked = std::make_shared<std::vector<std::byte>>(m.size);
  z_stream z{};
  if (::inflateInit2(&z, -MAX_WBITS) != Z_OK) refuse(file_, "zlib does not start");
  constexpr uint64_t kPiece = 1U << 30;  // zlib counts in 32 bits
  uint64_t in = 0;
  uint64_t out = 0;
  int status = Z_OK;
  while (status == Z_OK) {
    const auto more_in = std::min(kPiece, stored.size() - in);
    const auto more_out = std::min(kPiece, unpacked->size() - out);
    z.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(stored.data() + in));
    z.avail_in = static_cast<uInt>(more_in);
    z.next_out = reinterpret_cast<Bytef*>(unpacked->data() + out);
    z.avail_out = static_cast<uInt>(more_out);
    status = ::inflate(&z, Z_NO_FLUSH);
    const uint64_t took = more_in - z.avail_in;
    const uint64_t gave = more_out - z.avail_out;
    in += took;
    out += gave;
    if (status == Z_OK && took == 0 && gave == 0) status = Z_BUF_ERROR;
  }
  ::inflateEnd(&z);
  if (status != Z_STREAM_END || out != m.size)
    refuse(file_, "'" + name + "' in the zip container is damaged");
  return {*unpacked, unpacked};
}

namespace {

class Record {
 public:
  template <class T>
  Record& put(T value) {
    text_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  Record& put_text(std::string_view text) {
    text_ += text;
    return *this;
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

/// 2 of the DOS date: 1 January 1980, as torch writes, so that equal tensors make equal files.
constexpr uint16_t kDate = 0x21;

uint32_t low32(uint64_t value) {
  return value >= kSeeZip64 ? kSeeZip64 : static_cast<uint32_t>(value);
}

}  // namespace

void ZipWriter::add(const std::string& name, std::span<const std::byte> bytes) {
  const Member m{name, crc32_of(bytes), bytes.size(), out_.position()};
  const bool large = m.size >= kSeeZip64;
  // The extra field holds the zip64 sizes if needed, then a padding field ("FB", as torch names it)
  // up to the alignment. A field has a head of 4 bytes.
  const uint64_t fixed = m.header + 30 + name.size() + (large ? 20 : 0) + 4;
  const auto padding = static_cast<uint16_t>((kAlignment - fixed % kAlignment) % kAlignment);
  Record r;
  r.put(kLocalHeader).put<uint16_t>(large ? 45 : 20).put<uint16_t>(0x0800).put<uint16_t>(0);
  r.put<uint16_t>(0).put(kDate).put(m.crc).put(low32(m.size)).put(low32(m.size));
  r.put(static_cast<uint16_t>(name.size()))
      .put(static_cast<uint16_t>((large ? 20 : 0) + 4 + padding));
  r.put_text(name);
  if (large) r.put(kZip64Extra).put<uint16_t>(16).put(m.size).put(m.size);
  r.put_text("FB").put(padding).put_text(std::string(padding, 'Z'));
  out_.write(r.text());
  out_.write(bytes.data(), bytes.size());
  members_.push_back(m);
}

void ZipWriter::finish() {
  const uint64_t begin = out_.position();
  for (const Member& m : members_) {
    Record extra;
    if (m.size >= kSeeZip64) extra.put(m.size).put(m.size);
    if (m.header >= kSeeZip64) extra.put(m.header);
    const auto extra_size =
        static_cast<uint16_t>(extra.text().empty() ? 0 : extra.text().size() + 4);
    Record r;
    r.put(kDirectoryHeader)
        .put<uint16_t>(45)
        .put<uint16_t>(extra_size != 0 ? 45 : 20)
        .put<uint16_t>(0x0800);
    r.put<uint16_t>(0).put<uint16_t>(0).put(kDate).put(m.crc).put(low32(m.size)).put(low32(m.size));
    r.put(static_cast<uint16_t>(m.name.size())).put(extra_size);
    r.put<uint16_t>(0)
        .put<uint16_t>(0)
        .put<uint16_t>(0)
        .put<uint32_t>(0)
        .put(low32(m.header))
        .put_text(m.name);
    if (extra_size != 0)
      r.put(kZip64Extra).put(static_cast<uint16_t>(extra.text().size())).put_text(extra.text());
    out_.write(r.text());
  }
  const uint64_t end64 = out_.position();
  const uint64_t size = end64 - begin;
  const uint64_t count = members_.size();
  Record r;
  if (begin >= kSeeZip64 || count >= 0xffff) {
    r.put(kEnd64)
        .put<uint64_t>(44)
        .put<uint16_t>(45)
        .put<uint16_t>(45)
        .put<uint32_t>(0)
        .put<uint32_t>(0);
    r.put(count).put(count).put(size).put(begin);
    r.put(kEnd64Locator).put<uint32_t>(0).put(end64).put<uint32_t>(1);
  }
  const auto count16 = static_cast<uint16_t>(std::min<uint64_t>(count, 0xffff));
  r.put(kEnd)
      .put<uint16_t>(0)
      .put<uint16_t>(0)
      .put(count16)
      .put(count16)
      .put(low32(size))
      .put(low32(begin));
  r.put<uint16_t>(0);
  out_.write(r.text());
}

}  // namespace xp::checkpoint
