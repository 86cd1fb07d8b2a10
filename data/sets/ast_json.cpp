#include "data/sets/ast_json.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/files.h"
#include "data/csv.h"

namespace xp::data {
namespace {

using nlohmann::json;

/// Blanks out lines whose first letter is '#', keeping places.
void blank_hash_lines(std::string& text) {
  bool at_start = true;
  bool blanking = false;
  for (char& c : text) {
    if (c == '\n') {
      at_start = true;
      blanking = false;
      continue;
    }
    if (at_start && c == '#') blanking = true;
    if (at_start && c != ' ' && c != '\t' && c != '\r') at_start = false;
    if (blanking) c = ' ';
  }
}

/// "mid1, dog bark" -> mid1; dog bark.
std::vector<std::string> labels_of(std::string_view text) {
  std::vector<std::string> labels;
  for (const std::string& part : split_any(text, ",")) {
    if (const std::string_view label = trimmed(part); !label.empty()) labels.emplace_back(label);
  }
  return labels;
}

/// nlohmann's events; only data[i].wav and data[i].labels are kept.
class Handler : public json::json_sax_t {
 public:
  std::vector<AstEntry> entries;
  bool has_data = false;
  std::string problem;
  size_t problem_at = 0;

  bool null() override { return scalar(); }
  bool boolean(bool) override { return scalar(); }
  bool number_integer(int64_t) override { return scalar(); }
  bool number_unsigned(uint64_t) override { return scalar(); }
  bool number_float(double, const std::string&) override { return scalar(); }
  bool binary(json::binary_t&) override { return scalar(); }

  bool string(std::string& value) override {
    if (in_entry() && key_ == "wav") {
      entries.back().wav = std::move(value);
    } else if (in_entry() && key_ == "labels") {
      entries.back().labels = labels_of(value);
    } else if (depth_ == 2 && in_data_) {
      return fail("an entry of \"data\" is not an object");
    }
    return true;
  }

  bool start_object(std::size_t) override {
    if (is_wrong_value()) return fail_value();
    if (depth_ == 2 && in_data_) {
      entries.emplace_back();
      near_ = "";
    }
    ++depth_;
    return true;
  }
  bool end_object() override {
    --depth_;
    if (depth_ == 2 && in_data_ && (entries.back().wav.empty() || entries.back().labels.empty())) {
      const char* lacks = entries.back().wav.empty() ? "wav" : "labels";
      return fail(fmt::format("entry {} of \"data\" has no {}{}", entries.size(), lacks,
                              near_.empty() ? "" : fmt::format("; it has \"{}\"", near_)));
    }
    return true;
  }
  bool start_array(std::size_t) override {
    if (depth_ == 2 && in_data_) return fail("an entry of \"data\" is not an object");
    if (is_wrong_value()) return fail_value();
    if (depth_ == 1 && key_ == "data") in_data_ = has_data = true;
    ++depth_;
    return true;
  }
  bool end_array() override {
    if (--depth_ == 1) in_data_ = false;
    return true;
  }
  bool key(std::string& value) override {
    if (depth_ == 1 || in_entry()) key_ = value;
    // What people write in place of the two names, for the message.
    if (in_entry() && value != "wav" && value != "labels") {
      for (const char* one : {"label", "file", "path", "filename", "audio", "class", "tags"}) {
        if (value == one) near_ = value;
      }
    }
    return true;
  }
  bool parse_error(std::size_t position, const std::string&,
                   const json::exception& error) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: ...": only the last part
    // is for people.
    const std::string what = error.what();
    const size_t colon = what.find(": ");
    problem = colon == std::string::npos ? what : what.substr(colon + 2);
    problem_at = position;
    return false;
  }

 private:
  bool in_entry() const { return depth_ == 3 && in_data_; }
  bool scalar() {
    if (depth_ == 2 && in_data_) return fail("an entry of \"data\" is not an object");
    return is_wrong_value() ? fail_value() : true;
  }
  /// Asked where a value begins that is no text.
  bool is_wrong_value() const { return in_entry() && (key_ == "wav" || key_ == "labels"); }
  bool fail_value() {
    return fail(fmt::format("entry {} of \"data\": {}", entries.size(),
                            key_ == "wav" ? "wav must be a text, the path of a file"
                                          : "labels must be a text, ids between commas: "
                                            "\"labels\": \"/m/a,/m/b\""));
  }
  bool fail(std::string message) {
    problem = std::move(message);
    return false;
  }

  int depth_ = 0;
  bool in_data_ = false;
  std::string key_;
  std::string near_;  ///< a key of the entry that may stand for one that it lacks
};

}  // namespace

std::vector<AstEntry> parse_ast_json(const std::string& name, std::string text) {
  text.erase(0, text.size() - utf8_text(name, text).size());
  blank_hash_lines(text);
  Handler handler;
  const bool good = json::sax_parse(text, &handler, json::input_format_t::json, true, true);
  Place place;
  place.file = name;
  if (!good) {
    if (handler.problem_at > 0) {
      const auto end =
          text.begin() + static_cast<std::ptrdiff_t>(std::min(handler.problem_at - 1, text.size()));
      place.line = 1 + static_cast<int>(std::count(text.begin(), end, '\n'));
    }
    throw Error(place, handler.problem, Exit::kData);
  }
  if (!handler.has_data) throw Error(place, "has no array \"data\"", Exit::kData);
  return std::move(handler.entries);
}

std::vector<AstEntry> read_ast_json(const std::filesystem::path& file) {
  return parse_ast_json(file.string(), read_file(file));
}

}  // namespace xp::data
