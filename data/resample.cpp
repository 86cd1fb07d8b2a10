#include "data/resample.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <soxr.h>

#include <fmt/format.h>

#include "core/base/error.h"

namespace xp::data {
namespace {

// soxr's own buffers stay small with small pieces, where a whole clip at once costs it half as much
// again in page faults.
constexpr size_t kSoxrPiece = 4096;

struct CloseResampler {
  void operator()(soxr_t resampler) const { soxr_delete(resampler); }
};

soxr_quality_spec_t soxr_quality(schema::ResampleQuality quality) {
  switch (quality) {
    case schema::ResampleQuality::kLq:
      return soxr_quality_spec(SOXR_LQ, 0);
    case schema::ResampleQuality::kMq:
      return soxr_quality_spec(SOXR_MQ, 0);
    case schema::ResampleQuality::kHq:
      return soxr_quality_spec(SOXR_HQ, 0);
    case schema::ResampleQuality::kVhq:
      return soxr_quality_spec(SOXR_VHQ, 0);
  }
  XP_CHECK(false, "unknown resampling quality");
  return {};
}

}  // namespace

struct Resampler::Impl {
  int64_t from_hz;
  int64_t to_hz;
  std::unique_ptr<soxr, CloseResampler> stream;  ///< none where the rates are equal
  size_t fed = 0;
  size_t made = 0;

  size_t length() const {
    return static_cast<size_t>(std::llround(static_cast<double>(fed) * static_cast<double>(to_hz) /
                                            static_cast<double>(from_hz)));
  }
  /// Appends what soxr gives for up to all of `piece` (empty: the sound is at its end); how many it
  /// took, and whether it did anything.
  std::pair<size_t, bool> process(std::span<const float> piece, std::vector<float>& out) {
    // soxr takes no more input than the room for output calls for: with this much it takes some.
    const size_t room =
        (kSoxrPiece + 1) * static_cast<size_t>(to_hz) / static_cast<size_t>(from_hz) + 16;
    const size_t before = out.size();
    out.resize(before + room);
    size_t used = 0;
    size_t got = 0;
    const soxr_error_t error = soxr_process(stream.get(), piece.empty() ? nullptr : piece.data(),
                                            piece.size(), &used, out.data() + before, room, &got);
    XP_CHECK(error == nullptr, fmt::format("soxr: {}", error));
    out.resize(before + got);
    made += got;
    return {used, used > 0 || got > 0};
  }
};

Resampler::Resampler(int64_t from_hz, int64_t to_hz, schema::ResampleQuality quality)
    : impl_(std::make_unique<Impl>()) {
  XP_CHECK(from_hz > 0 && to_hz > 0, "rates must be positive");
  impl_->from_hz = from_hz;
  impl_->to_hz = to_hz;
  if (from_hz == to_hz) return;
  const soxr_quality_spec_t spec = soxr_quality(quality);
  soxr_error_t error = nullptr;
  impl_->stream.reset(soxr_create(static_cast<double>(from_hz), static_cast<double>(to_hz), 1,
                                  &error, nullptr, &spec, nullptr));
  XP_CHECK(error == nullptr, fmt::format("soxr: {}", error));
}
Resampler::~Resampler() = default;
Resampler::Resampler(Resampler&&) noexcept = default;
Resampler& Resampler::operator=(Resampler&&) noexcept = default;

void Resampler::feed(std::span<const float> samples, std::vector<float>& out) {
  impl_->fed += samples.size();
  if (impl_->stream == nullptr) {
    out.insert(out.end(), samples.begin(), samples.end());
    impl_->made += samples.size();
    return;
  }
  while (!samples.empty()) {
    const auto [used, moved] =
        impl_->process(samples.first(std::min(samples.size(), kSoxrPiece)), out);
    XP_CHECK(moved, "soxr leaves input unread");
    samples = samples.subspan(used);
  }
}

void Resampler::finish(std::vector<float>& out) {
  const size_t length = impl_->length();
  while (impl_->stream != nullptr && impl_->made < length)
    if (!impl_->process({}, out).second) break;
  // soxr rounds the last sample either way; the length is a pure function of n.
  XP_CHECK(out.size() + length >= impl_->made, "soxr gave more than there is");
  out.resize(out.size() + length - impl_->made, 0.0F);
  impl_->made = length;
}

std::vector<float> resample(std::span<const float> samples, int64_t from_hz, int64_t to_hz,
                            schema::ResampleQuality quality) {
  Resampler resampler(from_hz, to_hz, quality);
  std::vector<float> out;
  out.reserve(samples.size() * static_cast<size_t>(to_hz) / static_cast<size_t>(from_hz) +
              2 * kSoxrPiece * (1 + static_cast<size_t>(to_hz / from_hz)));
  resampler.feed(samples, out);
  resampler.finish(out);
  return out;
}

}  // namespace xp::data
