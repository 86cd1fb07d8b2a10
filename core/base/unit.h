#pragma once

#include <cstdint>
#include <string_view>

namespace xp {

/// What a value is measured in; stored beside a metric, shown on axes.
enum class Unit : uint8_t {
  kNone,      ///< a pure number: a loss, a learning rate, d'
  kFraction,  ///< 0..1: mAP, accuracy, stall
  kCount,
  kSeconds,
  kMilliseconds,
  kPerSecond,
  kMebibytes,
  kMillions,  ///< parameters
  kGflop,
  kPercent,
  kWatt,
  kCelsius,
};

std::string_view text(Unit unit);  ///< "", "fraction", "s", "ms", "1/s", "MiB", ...

}  // namespace xp
