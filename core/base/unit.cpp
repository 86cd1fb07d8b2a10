#include "core/base/unit.h"

#include <array>

namespace xp {
namespace {

constexpr std::array<std::string_view, 12> kUnits = {"",    "fraction", "count", "s", "ms", "1/s",
                                                     "MiB", "million",  "GFLOP", "%", "W",  "C"};

}  // namespace

std::string_view text(Unit unit) { return kUnits.at(static_cast<size_t>(unit)); }

}  // namespace xp
