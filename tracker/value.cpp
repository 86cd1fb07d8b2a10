#include "tracker/value.h"

#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace xp::tracker {
namespace {

std::string number(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::string out = fmt::format("{}", value);
  if (out.find_first_of(".e") == std::string::npos) out += ".0";
  return out;
}

std::string quoted(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

struct AsText {
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(int64_t value) const { return fmt::format("{}", value); }
  std::string operator()(double value) const { return number(value); }
  std::string operator()(const std::string& value) const { return value; }
  std::string operator()(const Json& value) const { return value.text; }
};

struct AsJson {
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(int64_t value) const { return fmt::format("{}", value); }
  std::string operator()(double value) const {
    return std::isfinite(value) ? number(value) : quoted(number(value));
  }
  std::string operator()(const std::string& value) const { return quoted(value); }
  std::string operator()(const Json& value) const { return value.text; }
};

}  // namespace

std::string to_text(const Value& value) { return std::visit(AsText{}, value); }
std::string to_json(const Value& value) { return std::visit(AsJson{}, value); }

}  // namespace xp::tracker
