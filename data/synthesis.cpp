#include "data/synthesis.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <span>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/rng.h"

namespace xp::data {
namespace {

constexpr double kTau = 2.0 * std::numbers::pi;
constexpr double kHighestHz = 3700;  // below Nyquist at the lowest rate a recipe may ask for, 8 kHz
constexpr std::array<const char*, 10> kKinds = {
    "rising_chirp", "falling_chirp", "clicks",    "low_noise", "high_noise",
    "tremolo_tone", "vibrato_tone",  "harmonics", "siren",     "noise_bursts"};

/// One sound being added to a clip: where it begins and ends, and the draws that shape it.
struct Event {
  std::span<float> out;  // the whole clip
  double rate;
  double start_s;
  double end_s;
  double level;
  double pitch;  // factor of the register
  Rng* rng;

  size_t first() const { return static_cast<size_t>(start_s * rate); }
  size_t last() const { return std::min(out.size(), static_cast<size_t>(end_s * rate)); }
  /// 20 ms of fading at both ends, so that the sound's edge is no class of its own.
  double fade(size_t i) const {
    const double t = static_cast<double>(i) / rate;
    return std::clamp(std::min(t - start_s, end_s - t) / 0.02, 0.0, 1.0);
  }
};

/// Adds `shape(t)`, t in seconds since the event's start.
template <class Shape>
void add(const Event& event, Shape shape) {
  for (size_t i = event.first(); i < event.last(); ++i) {
    const double t = static_cast<double>(i) / event.rate - event.start_s;
    event.out[i] += static_cast<float>(event.level * event.fade(i) * shape(t));
  }
}

/// Noise of a band as 40 sinusoids at random frequencies, rotated sample by sample; `gate(t)`
/// shapes it.
template <class Gate>
void add_noise(const Event& event, double low_hz, double high_hz, Gate gate) {
  constexpr int kPartials = 40;
  const size_t count = event.last() > event.first() ? event.last() - event.first() : 0;
  std::vector<float> sum(count, 0.0F);
  for (int p = 0; p < kPartials; ++p) {
    const double hz = std::min(kHighestHz, event.rng->uniform(low_hz, high_hz));
    double phase = event.rng->uniform(0, kTau);
    const double step_re = std::cos(kTau * hz / event.rate);
    const double step_im = std::sin(kTau * hz / event.rate);
    double re = std::cos(phase);
    double im = std::sin(phase);
    for (size_t i = 0; i < count; ++i) {
      sum[i] += static_cast<float>(re);
      const double next = re * step_re - im * step_im;
      im = re * step_im + im * step_re;
      re = next;
    }
  }
  const double scale = event.level / std::sqrt(kPartials / 2.0);
  for (size_t i = 0; i < count; ++i) {
    const size_t at = event.first() + i;
    const double t = static_cast<double>(at) / event.rate - event.start_s;
    event.out[at] +=
        static_cast<float>(scale * event.fade(at) * gate(t) * static_cast<double>(sum[i]));
  }
}

void add_chirps(const Event& event, bool rising) {
  const double low = event.pitch * event.rng->uniform(250, 500);
  const double high = std::min(kHighestHz, low * event.rng->uniform(3, 5));
  const double period = event.rng->uniform(0.35, 0.8);
  const double from = rising ? low : high;
  const double slope = (rising ? high - low : low - high) / period;
  add(event, [=](double t) {
    const double u = std::fmod(t, period);
    const double edge = std::clamp(std::min(u, period - u) / 0.01, 0.0, 1.0);
    return edge * std::sin(kTau * (from * u + 0.5 * slope * u * u));
  });
}

void add_clicks(const Event& event) {
  const double period = event.rng->uniform(0.06, 0.2);
  const double ring_hz = event.pitch * event.rng->uniform(1200, 2400);
  add(event, [=](double t) {
    const double u = std::fmod(t, period);
    return 1.8 * std::exp(-u / 0.004) * std::sin(kTau * std::min(kHighestHz, ring_hz) * u);
  });
}

void add_harmonics(const Event& event) {
  const double base = event.pitch * event.rng->uniform(110, 220);
  add(event, [=](double t) {
    double sum = 0;
    for (int k = 1; k <= 12 && k * base < kHighestHz; ++k)
      sum += std::sin(kTau * k * base * t) / std::sqrt(k);
    return 0.5 * sum;
  });
}

void add_sound(const Event& event, int32_t kind) {
  Rng& rng = *event.rng;
  const double tone = std::min(kHighestHz / 1.5, event.pitch * rng.uniform(500, 1100));
  const double slow = rng.uniform(4, 9);
  switch (kind) {
    case 0:
      return add_chirps(event, true);
    case 1:
      return add_chirps(event, false);
    case 2:
      return add_clicks(event);
    case 3:
      return add_noise(event, 80 * event.pitch, 450 * event.pitch, [](double) { return 1.0; });
    case 4:
      return add_noise(event, std::min(2900.0, 2200 * event.pitch), kHighestHz,
                       [](double) { return 1.0; });
    case 5:
      return add(event, [=](double t) {
        return (0.55 + 0.45 * std::sin(kTau * slow * t)) * std::sin(kTau * tone * t);
      });
    case 6:
      return add(event, [=](double t) {
        return std::sin(kTau * tone * t + 0.25 * tone / slow * std::sin(kTau * slow * t));
      });
    case 7:
      return add_harmonics(event);
    case 8: {
      const double half = rng.uniform(0.25, 0.45);
      const double other = tone * 1.35;
      return add(event, [=](double t) {
        const double u = std::fmod(t, half);
        const double edge = std::clamp(std::min(u, half - u) / 0.01, 0.0, 1.0);
        return edge * std::sin(kTau * (std::fmod(t, 2 * half) < half ? tone : other) * t);
      });
    }
    case 9: {
      const double period = rng.uniform(0.25, 0.5);
      return add_noise(event, 600 * event.pitch, 2000 * event.pitch,
                       [=](double t) { return std::exp(-std::fmod(t, period) / 0.05); });
    }
    default:
      XP_CHECK(false, "unknown kind of sound");
  }
}

}  // namespace

std::string synthetic_class_name(int32_t sound) {
  const int32_t kinds = static_cast<int32_t>(kKinds.size());
  const char* kind = kKinds[static_cast<size_t>(sound % kinds)];
  return sound < kinds ? kind : fmt::format("{}_{}", kind, sound / kinds + 1);
}

std::vector<float> synthesize(const SyntheticSource& source, int64_t rate_hz) {
  const double rate = static_cast<double>(rate_hz);
  std::vector<float> out(static_cast<size_t>(std::llround(source.length_s * rate)), 0.0F);
  Rng rng(0, "synthetic", 0, static_cast<uint64_t>(source.number));
  const double background_db = rng.uniform(-44, -30);
  Event event{out, rate, 0, source.length_s + 1, std::pow(10.0, background_db / 20), 1, &rng};
  add_noise(event, 60, kHighestHz, [](double) { return 1.0; });
  for (const int32_t sound : source.sounds) {
    const double length = source.length_s * rng.uniform(0.5, 0.9);
    event.start_s = rng.uniform(0, source.length_s - length);
    event.end_s = event.start_s + length;
    event.level = 0.35 * std::pow(10.0, rng.uniform(-12, 0) / 20);
    event.pitch = std::pow(0.8, sound / static_cast<int32_t>(kKinds.size()));
    add_sound(event, sound % static_cast<int32_t>(kKinds.size()));
  }
  for (float& x : out) x = std::clamp(x, -1.0F, 1.0F);
  return out;
}

}  // namespace xp::data
