// The safetensors format: uint64 header length, that many bytes of JSON
// {name: {dtype, shape, data_offsets: [begin, end)}, "__metadata__": {string: string}}, then the
// values. The tensors tile the rest of the file in the order of their offsets, without holes.
#include <algorithm>
#include <cstring>
#include <numeric>
#include <tuple>
#include <utility>

#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/checkpoint/formats.h"

namespace xp::checkpoint {
namespace {

using nlohmann::json;

constexpr uint64_t kMostHeaderBytes = 100'000'000;  // the format's own limit

std::optional<Dtype> dtype_of(const std::string& name) {
  for (int i = 0; i <= static_cast<int>(Dtype::kC128); ++i) {
    const auto dtype = static_cast<Dtype>(i);
    if (dtype_name(dtype) == name) return dtype;
  }
  return std::nullopt;
}

uint64_t header_bytes(std::span<const std::byte> bytes) {
  uint64_t size = 0;
  std::memcpy(&size, bytes.data(), sizeof size);
  return size;
}

/// The header is two objects and an array deep; a deeper one is an attack on the parser.
json parse_header(const std::filesystem::path& file, std::string_view text) {
  bool too_deep = false;
  const auto shallow = [&](int depth, json::parse_event_t event, json& /*parsed*/) {
    using Event = json::parse_event_t;
    if (depth >= 4 && (event == Event::object_start || event == Event::array_start))
      too_deep = true;
    return !too_deep;
  };
  json header = json::parse(text.begin(), text.end(), shallow, /*allow_exceptions=*/false);
  if (too_deep || !header.is_object()) refuse(file, "the safetensors header is not valid JSON");
  return header;
}

struct Placed {
  uint64_t begin = 0;
  uint64_t end = 0;
  Entry entry;
};

Placed parse_tensor(const std::filesystem::path& file, const std::string& name, const json& value,
                    const Limits& limits) {
  const auto bad = [&](const std::string& what) { refuse(file, "tensor '" + name + "': " + what); };
  Placed placed;
  placed.entry.name = name;
  if (!value.is_object() || !value.contains("dtype") || !value.contains("shape") ||
      !value.contains("data_offsets")) {
    bad("dtype, shape or data_offsets is missing");
  }
  const json& type = value["dtype"];
  const auto dtype = type.is_string() ? dtype_of(type.get<std::string>()) : std::nullopt;
  if (!dtype)
    bad("dtype " + type.dump(-1, ' ', false, json::error_handler_t::replace) + " is not supported");
  placed.entry.dtype = *dtype;
  const json& shape = value["shape"];
  if (!shape.is_array() || static_cast<int64_t>(shape.size()) > limits.rank)
    bad("the shape is not a short list");
  for (const json& size : shape) {
    if (!size.is_number_unsigned()) bad("the shape is not a list of sizes");
    const auto n = size.get<uint64_t>();
    if (n >= uint64_t{1} << 62) bad("the shape is too large");
    placed.entry.shape.push_back(static_cast<int64_t>(n));
  }
  const json& offsets = value["data_offsets"];
  if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
      !offsets[1].is_number_unsigned()) {
    bad("data_offsets is not a pair");
  }
  placed.begin = offsets[0].get<uint64_t>();
  placed.end = offsets[1].get<uint64_t>();
  const auto bytes = byte_count(placed.entry.shape, placed.entry.dtype);
  if (!bytes || placed.end < placed.begin ||
      placed.end - placed.begin != static_cast<uint64_t>(*bytes)) {
    bad("data_offsets do not fit the shape");
  }
  return placed;
}

}  // namespace

bool looks_like_safetensors(std::span<const std::byte> bytes) {
  if (bytes.size() < 9) return false;
  return header_bytes(bytes) < kMostHeaderBytes && static_cast<char>(bytes[8]) == '{';
}

Archive read_safetensors(const std::filesystem::path& file, const MappedFile& mapped,
                         const Limits& limits) {
  const uint64_t size = header_bytes(mapped.bytes);
  if (size > mapped.bytes.size() - 8)
    refuse(file, "the file is cut short: its header alone is longer");
  const auto data = mapped.bytes.subspan(8 + size);
  const json header =
      parse_header(file, {reinterpret_cast<const char*>(mapped.bytes.data()) + 8, size});

  Archive archive;
  archive.set_format("safetensors");
  std::vector<Placed> tensors;
  for (const auto& [name, value] : header.items()) {
    if (name == "__metadata__") {
      if (!value.is_object()) refuse(file, "__metadata__ is not an object");
      for (const auto& [key, text] : value.items()) {
        if (!text.is_string()) refuse(file, "__metadata__ holds something that is not a string");
        archive.set_metadata(key, text.get<std::string>());
      }
      continue;
    }
    if (static_cast<int64_t>(tensors.size()) >= limits.tensors) refuse(file, "too many tensors");
    tensors.push_back(parse_tensor(file, name, value, limits));
  }
  // Empty tensors share their offset with the one behind them; `end` then puts them first.
  std::sort(tensors.begin(), tensors.end(), [](const Placed& a, const Placed& b) {
    return std::tie(a.begin, a.end, a.entry.name) < std::tie(b.begin, b.end, b.entry.name);
  });
  uint64_t position = 0;
  for (Placed& t : tensors) {
    if (t.begin != position)
      refuse(file, "tensor '" + t.entry.name + "': a hole or an overlap in front of it");
    if (t.end > data.size()) refuse(file, "the file is cut short in tensor '" + t.entry.name + "'");
    position = t.end;
    t.entry.bytes = data.subspan(t.begin, t.end - t.begin);
    t.entry.owner = mapped.owner;
    archive.add(std::move(t.entry));
  }
  if (position != data.size()) refuse(file, "bytes behind the last tensor");
  return archive;
}

void Archive::write_safetensors(const std::filesystem::path& file) const {
  std::vector<size_t> order(entries_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return element_size(entries_[a].dtype) > element_size(entries_[b].dtype);
  });
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata_.empty()) header["__metadata__"] = metadata_;
  // Assembled as text: insertion into an ordered object looks at every earlier key.
  std::string text = header.dump();
  text.pop_back();
  uint64_t position = 0;
  for (const size_t i : order) {
    const Entry& e = entries_[i];
    if (text.size() > 1) text += ',';
    text += json(e.name).dump() + ":{\"dtype\":\"" + std::string(dtype_name(e.dtype)) +
            "\",\"shape\":" + json(e.shape).dump() + ",\"data_offsets\":[" +
            std::to_string(position) + "," + std::to_string(position + e.bytes.size()) + "]}";
    position += e.bytes.size();
  }
  text += '}';
  text.resize((text.size() + 7) / 8 * 8, ' ');

  OutputFile out(file);
  const uint64_t size = text.size();
  out.write(&size, sizeof size);
  out.write(text);
  for (const size_t i : order) out.write(entries_[i].bytes.data(), entries_[i].bytes.size());
  out.commit();
}

}  // namespace xp::checkpoint
