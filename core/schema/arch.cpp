#include "core/schema/arch.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace xp::schema {
namespace {

constexpr std::array kListed = {
    Arch{"ast-base224", Family::k_ast, 768, 12, 12, 16, 16},
    Arch{"ast-base384", Family::k_ast, 768, 12, 12, 16, 16},
    Arch{kOwnSizes, Family::k_ast, 128, 4, 2, 16, 16},
    Arch{"ast-small224", Family::k_ast, 384, 12, 6, 16, 16},
    Arch{"ast-tiny224", Family::k_ast, 192, 12, 3, 16, 16},
    Arch{"passt-l", Family::k_passt, 768, 7, 12, 16, 16},
    Arch{"passt-s", Family::k_passt, 768, 12, 12, 16, 16},
    Arch{"pool", Family::k_pool},
    Arch{"ssast-base-frame", Family::k_ssast, 768, 12, 12, 128, 2},
    Arch{"ssast-base-patch", Family::k_ssast, 768, 12, 12, 16, 16},
    Arch{"ssast-small-frame", Family::k_ssast, 384, 12, 6, 128, 2},
    Arch{"ssast-small-patch", Family::k_ssast, 384, 12, 6, 16, 16},
    Arch{"ssast-tiny-frame", Family::k_ssast, 192, 12, 3, 128, 2},
    Arch{"ssast-tiny-patch", Family::k_ssast, 192, 12, 3, 16, 16},
};

/// What follows "mnNN" or "dymnNN": nothing, "-se" (dymn) or "-s" and four strides of 1 or 2 (mn).
bool read_variant(std::string_view text, Arch& arch) {
  if (text.empty()) return true;
  if (text == "-se" && arch.family == Family::k_dymn) return arch.replace_se = true;
  if (text.size() != 6 || text.substr(0, 2) != "-s" || arch.family != Family::k_mn) return false;
  for (std::size_t i = 0; i < 4; ++i) {
    const char stride = text[2 + i];
    if (stride != '1' && stride != '2') return false;
    arch.strides[i] = stride - '0';
  }
  return true;
}

std::optional<Arch> find_cnn(std::string_view name) {
  const bool dynamic = name.substr(0, 2) == "dy";
  const std::string_view family = dynamic ? "dymn" : "mn";
  if (name.substr(0, family.size()) != family || name.size() < family.size() + 2)
    return std::nullopt;
  const char tens = name[family.size()];
  const char ones = name[family.size() + 1];
  if (std::isdigit(static_cast<unsigned char>(tens)) == 0 ||
      std::isdigit(static_cast<unsigned char>(ones)) == 0) {
    return std::nullopt;
  }
  Arch arch;
  arch.name = family;
  arch.family = dynamic ? Family::k_dymn : Family::k_mn;
  arch.width = ((tens - '0') * 10 + (ones - '0')) / 10.0;
  if (arch.width <= 0 || !read_variant(name.substr(family.size() + 2), arch)) return std::nullopt;
  return arch;
}

}  // namespace

std::string_view family_name(Family family) {
  switch (family) {
#define XP_MODEL(name, factory, body, help) \
  case Family::k_##name:                    \
    return #name;
#include "core/schema/models.inc"
#undef XP_MODEL
  }
  return "";
}

std::span<const Arch> listed_archs() { return kListed; }

std::optional<Arch> find_arch(std::string_view name) {
  const auto found = std::find_if(kListed.begin(), kListed.end(),
                                  [&](const Arch& arch) { return arch.name == name; });
  return found != kListed.end() ? std::optional<Arch>(*found) : find_cnn(name);
}

std::vector<int64_t> kept_blocks(int64_t depth, int64_t cut) {
  std::vector<int64_t> kept;
  if (cut != 0 && depth - std::max<int64_t>(cut, 0) < 2) return kept;
  if (depth > 0) kept.push_back(0);
  if (cut >= 0) {
    for (int64_t i = cut + 1; i < depth; ++i) kept.push_back(i);
    return kept;
  }
  for (int64_t i = 1; i < depth - 1; i -= cut) kept.push_back(i);
  kept.push_back(depth - 1);
  return kept;
}

int64_t patches_along(int64_t length, int64_t patch, int64_t stride) {
  return length < patch ? 0 : 1 + (length - patch) / stride;
}

}  // namespace xp::schema
