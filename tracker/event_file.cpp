#include "tracker/event_file.h"

#include <array>
#include <bit>
#include <cstring>

#include <fmt/format.h>

#include "core/base/error.h"

namespace xp::tracker {
namespace {

constexpr uint32_t kCastagnoli = 0x82F63B78;  // reflected

constexpr std::array<uint32_t, 256> crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kCastagnoli : 0);
    table[i] = crc;
  }
  return table;
}

/// TFRecord's mask: a CRC of data that holds CRCs is a poor check, so it is rotated and shifted.
uint32_t masked(std::string_view bytes) {
  const uint32_t crc = crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8u;
}

template <class Number>
std::string bytes_of(Number value) {
  std::string out(sizeof value, '\0');
  std::memcpy(out.data(), &value, sizeof value);
  return out;
}

// Protobuf's wire format: a key (field number, wire type), then the value.
void varint(std::string& out, uint64_t value) {
  while (value >= 0x80) {
    out += static_cast<char>((value & 0x7F) | 0x80);
    value >>= 7;
  }
  out += static_cast<char>(value);
}
void key(std::string& out, int field, int type) {
  varint(out, static_cast<uint64_t>(field) << 3 | static_cast<uint64_t>(type));
}
void put_int(std::string& out, int field, int64_t value) {
  key(out, field, 0);
  varint(out, static_cast<uint64_t>(value));
}
void put_double(std::string& out, int field, double value) {
  key(out, field, 1);
  out += bytes_of(value);
}
void put_float(std::string& out, int field, float value) {
  key(out, field, 5);
  out += bytes_of(value);
}
void put_bytes(std::string& out, int field, std::string_view value) {
  key(out, field, 2);
  varint(out, value.size());
  out += value;
}

// Numbers of the fields that are used, from event.proto, summary.proto, tensor.proto, types.proto.
enum : int { kEventWallTime = 1, kEventStep = 2, kEventFileVersion = 3, kEventSummary = 5 };
enum : int { kSummaryValue = 1 };
enum : int { kValueTag = 1, kValueTensor = 8, kValueMetadata = 9 };
enum : int { kMetadataPlugin = 1, kMetadataClass = 4, kPluginName = 1 };
enum : int { kTensorDtype = 1, kTensorShape = 2, kTensorFloat = 5, kTensorString = 8 };
enum : int { kShapeDim = 2, kDimSize = 1 };
enum : int { kDtypeFloat = 1, kDtypeString = 7 };
enum : int { kClassScalar = 1, kClassTensor = 2 };

std::string event_of(double wall_time, int64_t step, std::string_view tag, std::string_view plugin,
                     int data_class, const std::string& tensor) {
  std::string name, metadata, value, summary, event;
  put_bytes(name, kPluginName, plugin);
  put_bytes(metadata, kMetadataPlugin, name);
  put_int(metadata, kMetadataClass, data_class);
  put_bytes(value, kValueTag, tag);
  put_bytes(value, kValueTensor, tensor);
  put_bytes(value, kValueMetadata, metadata);
  put_bytes(summary, kSummaryValue, value);
  put_double(event, kEventWallTime, wall_time);
  put_int(event, kEventStep, step);
  put_bytes(event, kEventSummary, summary);
  return event;
}

double seconds(int64_t time_ns) { return static_cast<double>(time_ns) * 1e-9; }

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  static constexpr std::array<uint32_t, 256> kTable = crc_table();
  uint32_t crc = 0xFFFFFFFFu;
  for (const char c : bytes)
    crc = (crc >> 8) ^ kTable[(crc ^ static_cast<unsigned char>(c)) & 0xFF];
  return crc ^ 0xFFFFFFFFu;
}

EventFile::EventFile(const std::filesystem::path& file, int64_t time_ns)
    : file_(file), out_(file_.path(), std::ios::binary) {
  static_assert(std::endian::native == std::endian::little);
  std::string event;
  put_double(event, kEventWallTime, seconds(time_ns));
  put_bytes(event, kEventFileVersion, "brain.Event:2");
  record(event);
}

void EventFile::record(const std::string& event) {
  const std::string length = bytes_of(static_cast<uint64_t>(event.size()));
  out_ << length << bytes_of(masked(length)) << event << bytes_of(masked(event));
}

void EventFile::scalar(std::string_view tag, int64_t step, double value, int64_t time_ns) {
  std::string tensor;
  put_int(tensor, kTensorDtype, kDtypeFloat);
  put_bytes(tensor, kTensorShape, "");
  put_float(tensor, kTensorFloat, static_cast<float>(value));
  record(event_of(seconds(time_ns), step, tag, "scalars", kClassScalar, tensor));
}

void EventFile::text(std::string_view tag, std::string_view markdown, int64_t time_ns) {
  std::string dim, shape, tensor;
  put_int(dim, kDimSize, 1);
  put_bytes(shape, kShapeDim, dim);
  put_int(tensor, kTensorDtype, kDtypeString);
  put_bytes(tensor, kTensorShape, shape);
  put_bytes(tensor, kTensorString, markdown);
  record(event_of(seconds(time_ns), 0, tag, "text", kClassTensor, tensor));
}

void EventFile::close() {
  out_.close();
  if (!out_) throw Error(fmt::format("cannot write {}", file_.path().string()), Exit::kFailed);
  file_.commit();
}

}  // namespace xp::tracker
