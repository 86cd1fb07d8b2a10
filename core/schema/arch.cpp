#include "core/schema/arch.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace xp::schema {
namespace {

constexpr std::array kTransformers = {
    Arch{"ast-base224", Family::k_ast, 768, 12, 12, 16, 16, 14},
    Arch{"ast-base384", Family::k_ast, 768, 12, 12, 16, 16, 24},
    Arch{"ast-nano", Family::k_ast, 128, 4, 2, 16, 16, 0},
    Arch{"ast-small224", Family::k_ast, 384, 12, 6, 16, 16, 14},
    Arch{"ast-tiny224", Family::k_ast, 192, 12, 3, 16, 16, 14},
    Arch{"passt-l", Family::k_passt, 768, 7, 12, 16, 16, 24},
    Arch{"passt-s", Family::k_passt, 768, 12, 12, 16, 16, 24},
    Arch{"ssast-base-frame", Family::k_ssast, 768, 12, 12, 128, 2, 0},
    Arch{"ssast-base-patch", Family::k_ssast, 768, 12, 12, 16, 16, 0},
    Arch{"ssast-small-frame", Family::k_ssast, 384, 12, 6, 128, 2, 0},
    Arch{"ssast-small-patch", Family::k_ssast, 384, 12, 6, 16, 16, 0},
    Arch{"ssast-tiny-frame", Family::k_ssast, 192, 12, 3, 128, 2, 0},
    Arch{"ssast-tiny-patch", Family::k_ssast, 192, 12, 3, 16, 16, 0},
};

std::optional<Arch> find_cnn(std::string_view name) {
  const bool dynamic = name.substr(0, 2) == "dy";
  const std::string_view family = dynamic ? "dymn" : "mn";
  if (name.substr(0, family.size()) != family || name.size() != family.size() + 2)
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
  return arch.width > 0 ? std::optional<Arch>(arch) : std::nullopt;
}

}  // namespace

std::string_view family_name(Family family) {
  switch (family) {
#define XP_MODEL(name, factory, help) \
  case Family::k_##name:              \
    return #name;
#include "core/schema/models.inc"
#undef XP_MODEL
  }
  return "";
}

std::span<const Arch> transformer_archs() { return kTransformers; }

std::optional<Arch> find_arch(std::string_view name) {
  const auto found = std::find_if(kTransformers.begin(), kTransformers.end(),
                                  [&](const Arch& arch) { return arch.name == name; });
  return found != kTransformers.end() ? std::optional<Arch>(*found) : find_cnn(name);
}

int64_t patches_along(int64_t length, int64_t patch, int64_t stride) {
  return length < patch ? 0 : 1 + (length - patch) / stride;
}

}  // namespace xp::schema
