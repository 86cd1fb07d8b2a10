#include "core/report/scale.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

namespace xp::report {

double Scale::operator()(double value) const {
  const double at =
      log ? std::log(value / low) / std::log(high / low) : (value - low) / (high - low);
  return begin + at * (end - begin);
}

std::pair<double, double> padded_range(const std::vector<double>& values, bool log) {
  double low = INFINITY, high = -INFINITY;
  for (const double value : values) {
    if (!std::isfinite(value) || (log && value <= 0)) continue;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  if (low > high) return log ? std::pair{0.1, 1.0} : std::pair{0.0, 1.0};
  if (log) {
    const double room = std::max(std::pow(high / low, 0.05), 1.05);
    return {low / room, high * room};
  }
  double room = (high - low) * 0.05;
  if (room == 0) room = low == 0 ? 1 : std::abs(low) * 0.05;
  return {low - room, high + room};
}

std::vector<double> ticks(const Scale& scale, int count) {
  std::vector<double> out;
  if (scale.log && scale.high / scale.low > 30) {
    for (int e = static_cast<int>(std::ceil(std::log10(scale.low) - 1e-9));
         std::pow(10, e) <= scale.high * (1 + 1e-9); ++e)
      out.push_back(std::pow(10, e));
    if (out.size() > 1) return out;
    out.clear();
  }
  const double rough = (scale.high - scale.low) / count;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  const double part = rough / power;
  const double step = (part <= 1 ? 1 : part <= 2 ? 2 : part <= 5 ? 5 : 10) * power;
  for (double k = std::ceil(scale.low / step - 1e-9); k * step <= scale.high + step * 1e-9; ++k)
    out.push_back(k == 0 ? 0 : k * step);
  return out;
}

std::string tick_text(double value) {
  const double size = std::abs(value);
  if (size >= 1e6) return fmt::format("{:.4g}M", value / 1e6);
  if (size >= 1e4) return fmt::format("{:.4g}k", value / 1e3);
  return fmt::format("{:.4g}", value);
}

std::string ramp(double t) {
  constexpr std::array<std::array<int, 3>, 5> kStops = {
      {{63, 111, 216}, {125, 95, 208}, {184, 80, 159}, {214, 84, 100}, {216, 116, 48}}};
  t = std::clamp(std::isnan(t) ? 0 : t, 0.0, 1.0) * (kStops.size() - 1);
  const size_t i = std::min(static_cast<size_t>(t), kStops.size() - 2);
  const double part = t - static_cast<double>(i);
  std::string out = "#";
  for (size_t c = 0; c < 3; ++c) {
    const double mixed = kStops[i][c] + part * (kStops[i + 1][c] - kStops[i][c]);
    out += fmt::format("{:02x}", static_cast<int>(std::lround(mixed)));
  }
  return out;
}

}  // namespace xp::report
