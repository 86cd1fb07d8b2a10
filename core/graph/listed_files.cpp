#include "core/graph/listed_files.h"

#include <string>
#include <utility>

#include <nlohmann/json.hpp>

#include "core/base/files.h"

namespace xp::graph {
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

// Keeps the strings under "wav" alone: a list of two million clips is not held as a tree.
struct WavCollector : json::json_sax_t {
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(json::number_integer_t) override { return true; }
  bool number_unsigned(json::number_unsigned_t) override { return true; }
  bool number_float(json::number_float_t, const std::string&) override { return true; }
  bool binary(json::binary_t&) override { return true; }
  bool start_object(size_t) override { return true; }
  bool end_object() override { return true; }
  bool start_array(size_t) override { return true; }
  bool end_array() override { return true; }
  bool parse_error(size_t, const std::string&, const json::exception&) override { return false; }
  bool key(std::string& name) override {
    is_wav = name == "wav";
    return true;
  }
  bool string(std::string& value) override {
    if (is_wav) wavs.push_back(std::move(value));
    is_wav = false;
    return true;
  }

  bool is_wav = false;
  std::vector<std::string> wavs;
};

void blank_hash_lines(std::string& text) {
  for (size_t start = 0; start < text.size();) {
    size_t end = text.find('\n', start);
    if (end == std::string::npos) end = text.size();
    const size_t first = text.find_first_not_of(" \t\r", start);
    if (first < end && text[first] == '#') text.replace(first, end - first, end - first, ' ');
    start = end + 1;
  }
}

}  // namespace

std::vector<fs::path> listed_files(const fs::path& file, const fs::path& folder) {
  std::string text = read_file(file);
  blank_hash_lines(text);
  WavCollector collector;
  if (!json::sax_parse(text, &collector, json::input_format_t::json, true, true)) return {};
  std::vector<fs::path> out;
  out.reserve(collector.wavs.size());
  for (const std::string& wav : collector.wavs) {
    const fs::path path = expand_user(wav);
    out.push_back(path.is_absolute() ? path : folder / path);
  }
  return out;
}

}  // namespace xp::graph
