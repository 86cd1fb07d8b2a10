#include "core/recipe/options.h"

#include <algorithm>

namespace xp::recipe {
namespace {

constexpr std::array<std::string_view, 10> kFileEndings = {
    ".pt", ".pth", ".safetensors", ".npy", ".csv", ".json", ".pkl", ".ckpt", ".hdf", ".h5"};

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

}  // namespace

std::optional<Reference> parse_reference(std::string_view text) {
  constexpr std::string_view kOpen = "${stages.";
  if (text.substr(0, kOpen.size()) != kOpen || text.back() != '}') return std::nullopt;
  text.remove_prefix(kOpen.size());
  text.remove_suffix(1);
  const std::size_t dot = text.rfind('.');
  if (dot == std::string_view::npos || dot == 0 || dot + 1 == text.size()) return std::nullopt;
  if (text.find_first_of("${}.") != dot) return std::nullopt;
  return Reference{std::string(text.substr(0, dot)), std::string(text.substr(dot + 1))};
}

bool looks_like_path(std::string_view text) {
  if (text.empty()) return false;
  if (text.find('/') != std::string_view::npos || text.front() == '~' || text.front() == '.')
    return true;
  return std::any_of(kFileEndings.begin(), kFileEndings.end(),
                     [text](std::string_view end) { return ends_with(text, end); });
}

}  // namespace xp::recipe
