#include "core/ops/norm_stats.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/base/error.h"

namespace xp::ops {

/// Chan, Golub, LeVeque 1979: moments of two sets from the moments of each.
void NormStatsSum::Moments::add(const Moments& other) {
  if (other.n == 0) return;
  const double total = n + other.n;
  const double delta = other.mean - mean;
  mean += delta * (other.n / total);
  m2 += other.m2 + delta * delta * (n * other.n / total);
  n = total;
}

NormStatsSum::Moments NormStatsSum::moments_of(std::span<const float> values) {
  // Two passes over blocks that stay in the cache: no cancellation, and the sums vectorise.
  constexpr size_t kBlock = 4096;
  Moments all;
  for (size_t i = 0; i < values.size(); i += kBlock) {
    const auto block = values.subspan(i, std::min(kBlock, values.size() - i));
    Moments part;
    part.n = static_cast<double>(block.size());
    double sum = 0;
    for (float v : block) sum += static_cast<double>(v);
    part.mean = sum / part.n;
    for (float v : block)
      part.m2 += (static_cast<double>(v) - part.mean) * (static_cast<double>(v) - part.mean);
    all.add(part);
  }
  return all;
}

NormStatsSum::NormStatsSum(Kind kind, int64_t batch_clips)
    : kind_(kind), batch_clips_(batch_clips) {
  XP_CHECK(batch_clips >= 1, "a batch holds at least one clip");
}

void NormStatsSum::add(std::span<const float> values) {
  const Moments clip = moments_of(values);
  ++clips_;
  all_.add(clip);
  if (kind_ == Kind::kExact) return;
  batch_.add(clip);
  if (++in_batch_ == batch_clips_) close_batch();
}

void NormStatsSum::close_batch() {
  mean_sum_ += batch_.mean;
  std_sum_ += batch_.n > 1 ? std::sqrt(batch_.m2 / (batch_.n - 1))
                           : std::numeric_limits<double>::quiet_NaN();
  ++batches_;
  batch_ = {};
  in_batch_ = 0;
}

void NormStatsSum::merge(const NormStatsSum& other) {
  XP_CHECK(kind_ == Kind::kExact && other.kind_ == Kind::kExact, "batches cannot be merged");
  all_.add(other.all_);
  clips_ += other.clips_;
}

NormStats NormStatsSum::result() const {
  if (all_.n == 0)
    throw Error("no spectrogram values: mean and deviation are not defined", Exit::kData);
  NormStats out;
  out.clips = clips_;
  out.values = static_cast<int64_t>(all_.n);
  if (kind_ == Kind::kExact) {
    out.mean = all_.mean;
    out.std = std::sqrt(all_.m2 / all_.n);
    return out;
  }
  NormStatsSum closed = *this;
  if (closed.in_batch_ > 0) closed.close_batch();
  out.mean = closed.mean_sum_ / static_cast<double>(closed.batches_);
  out.std = closed.std_sum_ / static_cast<double>(closed.batches_);
  return out;
}

}  // namespace xp::ops
