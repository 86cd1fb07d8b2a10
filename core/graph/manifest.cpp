#include "core/graph/manifest.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/digest.h"
#include "core/base/error.h"

namespace xp::graph {
namespace fs = std::filesystem;
using nlohmann::ordered_json;

namespace {

constexpr int kFormat = 1;
constexpr size_t kKeyDigits = 32;
constexpr const char* kDigest = "digest";

std::string dump(const ordered_json& json) {
  return json.dump(1, ' ', false, ordered_json::error_handler_t::replace);
}

// Over all that the manifest says, however it is laid out.
std::string own_digest(const ordered_json& without_digest) { return sha256(dump(without_digest)); }

}  // namespace

std::string Manifest::output_digest() const {
  Digest digest;
  for (const OutputFile& file : files) digest.add_field(file.path).add_field(file.sha256);
  return digest.hex();
}

std::string manifest_text(const Manifest& manifest) {
  ordered_json inputs = ordered_json::array();
  for (const InputRecord& input : manifest.inputs) {
    inputs.push_back({{"role", input.role},
                      {"part", input.part},
                      {"stage", input.stage},
                      {"kind", input.kind},
                      {"key", input.key},
                      {"path", input.path}});
  }
  ordered_json files = ordered_json::array();
  for (const OutputFile& file : manifest.files) {
    files.push_back({{"path", file.path}, {"size", file.size}, {"sha256", file.sha256}});
  }
  ordered_json out = {
      {"format", kFormat},          {"kind", manifest.kind},   {"version", manifest.version},
      {"key", manifest.key},        {"stage", manifest.stage}, {"options", manifest.options},
      {"inputs", inputs},           {"files", files},          {"metrics", manifest.metrics},
      {"run", manifest.run},        {"host", manifest.host},   {"created_ns", manifest.created_ns},
      {"seconds", manifest.seconds}};
  // As it reads back: letters that are no UTF-8 are replaced.
  out = ordered_json::parse(dump(out));
  const std::string digest = own_digest(out);
  out[kDigest] = digest;
  return dump(out) + "\n";
}

Manifest parse_manifest(std::string_view text, const fs::path& file) {
  try {
    ordered_json in = ordered_json::parse(text);
    const int format = in.at("format").get<int>();
    if (format != kFormat) {
      throw Error(fmt::format("{}: manifest of format {}, this exp reads {}", file.string(), format,
                              kFormat),
                  Exit::kData);
    }
    if (in.contains(kDigest)) {
      const auto digest = in.at(kDigest).get<std::string>();
      in.erase(kDigest);
      if (digest != own_digest(in)) {
        throw Error(fmt::format("{}: it was changed after it was made: it does not match its own "
                                "digest",
                                file.string()),
                    Exit::kData);
      }
    }
    Manifest out;
    out.kind = in.at("kind").get<std::string>();
    out.version = in.at("version").get<int>();
    out.key = in.at("key").get<std::string>();
    out.stage = in.at("stage").get<std::string>();
    out.options = in.at("options").get<std::string>();
    for (const auto& input : in.at("inputs")) {
      out.inputs.push_back(
          {input.at("role").get<std::string>(), input.at("part").get<std::string>(),
           input.at("stage").get<std::string>(), input.at("kind").get<std::string>(),
           input.at("key").get<std::string>(), input.at("path").get<std::string>()});
    }
    for (const auto& item : in.at("files")) {
      out.files.push_back({item.at("path").get<std::string>(), item.at("size").get<uint64_t>(),
                           item.at("sha256").get<std::string>()});
    }
    // JSON has no NaN and no infinity: such a metric was written as null and reads as absent.
    for (const auto& [name, value] : in.at("metrics").items()) {
      if (value.is_number()) out.metrics[name] = value.get<double>();
    }
    out.run = in.at("run").get<std::string>();
    out.host = in.at("host").get<std::string>();
    out.created_ns = in.at("created_ns").get<int64_t>();
    out.seconds = in.at("seconds").get<double>();
    return out;
  } catch (const nlohmann::json::exception& error) {
    throw Error(fmt::format("{}: not a manifest: {}", file.string(), error.what()), Exit::kData);
  }
}

std::vector<OutputFile> list_output(const fs::path& folder) {
  std::vector<OutputFile> out;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    const std::string path = entry.path().lexically_relative(folder).generic_string();
    if (path == "manifest.json") continue;
    out.push_back({path, entry.file_size(), sha256_file(entry.path())});
  }
  std::sort(out.begin(), out.end(),
            [](const OutputFile& a, const OutputFile& b) { return a.path < b.path; });
  return out;
}

std::string stage_key(std::string_view kind, int version, std::string_view options,
                      const std::vector<InputRecord>& inputs) {
  Digest digest;
  digest.add_field("stage-key-1")
      .add_field(kind)
      .add_field(std::to_string(version))
      .add_field(options);
  for (const InputRecord& input : inputs) {
    digest.add_field(input.role).add_field(input.part).add_field(input.key);
  }
  return digest.hex().substr(0, kKeyDigits);
}

}  // namespace xp::graph
