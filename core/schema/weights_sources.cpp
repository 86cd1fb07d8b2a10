#include "core/schema/weights_sources.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>

#include "core/base/files.h"

namespace xp::schema {
namespace {

#define XP_WEIGHTS_SOURCE(name, url, licence) WeightsSource{name, url, licence},
constexpr std::array kSources = {
#include "core/schema/weights_sources.inc"
};
#undef XP_WEIGHTS_SOURCE

/// "model-d0272ac0.pth" of "https://host/model-d0272ac0.pth?dl=1".
std::string_view file_of(std::string_view url) {
  url = url.substr(0, url.find('?'));
  return url.substr(url.rfind('/') + 1);
}

}  // namespace

std::string_view WeightsSource::digest_start() const {
  constexpr size_t kDigits = 8;
  std::string_view stem = file_of(url);
  stem = stem.substr(0, stem.rfind('.'));
  if (stem.size() < kDigits + 2 || stem[stem.size() - kDigits - 1] != '-') return "";
  const std::string_view digits = stem.substr(stem.size() - kDigits);
  const bool hex = std::all_of(digits.begin(), digits.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  });
  return hex ? digits : "";
}

std::span<const WeightsSource> weights_sources() { return kSources; }

const WeightsSource* find_weights_source(std::string_view name) {
  const auto found = std::find_if(kSources.begin(), kSources.end(),
                                  [name](const WeightsSource& s) { return s.name == name; });
  return found == kSources.end() ? nullptr : &*found;
}

std::filesystem::path weights_folder() {
  const char* const set = std::getenv("EXP_WEIGHTS");
  return set != nullptr && *set != '\0' ? expand_user(set)
                                        : expand_user("~/.local/share/exp/weights");
}

std::filesystem::path weights_file(const WeightsSource& source) {
  const std::string_view file = file_of(source.url);
  return weights_folder() / (std::string(source.name) + std::string(file.substr(file.rfind('.'))));
}

}  // namespace xp::schema
