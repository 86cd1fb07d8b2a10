// Kaldi's windows and triangular filters, in the arithmetic of torchaudio's compliance/kaldi.py:
// scalars in float64, tables in float32.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/base/error.h"
#include "core/ops/log_mel.h"

namespace xp::ops {
namespace {

double mel_of(double hz) { return 1127.0 * std::log(1.0 + hz / 700.0); }

std::string hz_text(double hz) {
  std::string text = std::to_string(hz);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text + " Hz";
}

}  // namespace

std::vector<float> mel_banks(const LogMelOptions& options) {
  const double nyquist = options.rate_hz / 2;
  const double low = options.low_hz;
  const double high = options.high_hz > 0 ? options.high_hz : options.high_hz + nyquist;
  if (!(low >= 0 && high <= nyquist && low < high)) {
    throw Error("the mel filters reach from " + hz_text(low) + " to " + hz_text(high) +
                ": they need 0 <= low < high <= " + hz_text(nyquist) + ", half the sampling rate");
  }
  const int64_t half = options.fft_size / 2;
  const double mel_low = mel_of(low);
  const double delta = (mel_of(high) - mel_low) / static_cast<double>(options.mel_bins + 1);
  const auto width = static_cast<float>(options.rate_hz / static_cast<double>(options.fft_size));
  std::vector<float> mel(static_cast<size_t>(half));
  for (int64_t k = 0; k < half; ++k) {
    mel[static_cast<size_t>(k)] = 1127.0F * std::log(1.0F + width * static_cast<float>(k) / 700.0F);
  }
  std::vector<float> banks;
  banks.reserve(static_cast<size_t>(options.mel_bins * half));
  for (int64_t m = 0; m < options.mel_bins; ++m) {
    const auto edge = [&](int64_t i) {
      return static_cast<float>(mel_low) + static_cast<float>(m + i) * static_cast<float>(delta);
    };
    const float left = edge(0), center = edge(1), right = edge(2);
    for (float x : mel) {
      const float up = (x - left) / (center - left);
      const float down = (right - x) / (right - center);
      banks.push_back(std::max(0.0F, std::min(up, down)));
    }
  }
  return banks;
}

std::vector<float> window_values(const LogMelOptions& options) {
  const int64_t n = options.window_samples;
  std::vector<float> out(static_cast<size_t>(n), 1.0F);
  if (n == 1) return out;
  for (int64_t i = 0; i < n; ++i) {
    const double c =
        std::cos(2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(n - 1));
    double value = 1;
    switch (options.window) {
      case Window::kHann:
        value = 0.5 - 0.5 * c;
        break;
      case Window::kHamming:
        value = 0.54 - 0.46 * c;
        break;
      case Window::kPovey:
        value = std::pow(0.5 - 0.5 * c, 0.85);
        break;
      case Window::kRectangular:
        break;
    }
    out[static_cast<size_t>(i)] = static_cast<float>(value);
  }
  return out;
}

}  // namespace xp::ops
