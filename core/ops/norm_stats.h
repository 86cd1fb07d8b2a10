#pragma once

#include <cstdint>
#include <span>

namespace xp::ops {

/// Mean and standard deviation of a data set's log-mel values.
struct NormStats {
  double mean = 0;
  double std = 0;
  int64_t clips = 0;
  int64_t values = 0;
};

/// Feeds spectrograms, gives the statistics of their values. Two sums, one object a thread; `merge`
/// in a fixed order for the same bits whatever the number of threads.
///
/// kExact: over every value of every clip, population std (Chan et al. 1979 updates, float64).
/// kAstBatches: AST's src/get_norm_stats.py: mean and unbiased std of each batch of `batch_clips`
/// clips, averaged over batches without weights (the last batch may be smaller). Clips must come in
/// order then.
class NormStatsSum {
 public:
  enum class Kind { kExact, kAstBatches };
  explicit NormStatsSum(Kind kind = Kind::kExact, int64_t batch_clips = 1000);

  /// One clip's values in any order.
  void add(std::span<const float> values);
  /// kExact only: as if `other`'s clips had been added after ours.
  void merge(const NormStatsSum& other);
  /// Throws Error (kData) when nothing was added.
  NormStats result() const;

 private:
  struct Moments {
    double n = 0, mean = 0, m2 = 0;
    void add(const Moments& other);
  };
  static Moments moments_of(std::span<const float> values);
  void close_batch();

  Kind kind_;
  int64_t batch_clips_;
  int64_t clips_ = 0;
  Moments all_;    // kExact; with kAstBatches: of the values, for the count
  Moments batch_;  // kAstBatches: the batch under way
  int64_t in_batch_ = 0;
  double mean_sum_ = 0, std_sum_ = 0;
  int64_t batches_ = 0;
};

}  // namespace xp::ops
