#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "data/shard.h"

namespace xp::schema {
struct SamplerOptions;
}

namespace xp::data {

/// The order of one epoch: position -> index into the rows that the sampler was made for. A value;
/// it can be asked for any position at once, so a resumed or differently distributed job asks for
/// what is left.
class EpochOrder {
 public:
  struct Impl;
  explicit EpochOrder(std::shared_ptr<const Impl> impl);
  int64_t size() const;
  int64_t at(int64_t position) const;

 private:
  std::shared_ptr<const Impl> impl_;
};

/// What is drawn in which order, as a pure function of (seed, epoch, position): never of rank,
/// worker or thread. A rank of a distributed job takes its share of each global batch's positions.
///
/// - sequential: as listed; no memory.
/// - shuffle: a uniform permutation; `draws` beyond the set go on with the next one; 4 B a clip.
/// - ast_balanced: with replacement, w = sum over labels of 1000 / (count + 0.01) (YuanGongND/ast,
///   gen_weight_file.py); 8 B a clip.
/// - importance: without replacement, w = sum (or max) over labels of 1000 / (count + 100)
///   (kkoutini/PaSST); 8 B a clip, then 4 B a draw.
/// - class_balanced: a class uniformly, then one of its clips uniformly, with replacement; 4 B a
///   label.
class Sampler {
 public:
  /// `rows` are the clips to draw from, `labels` those of the whole table. Both must outlive the
  /// sampler.
  Sampler(const schema::SamplerOptions& options, const LabelTable& labels,
          std::span<const uint32_t> rows, uint64_t seed);
  ~Sampler();
  Sampler(Sampler&&) noexcept;

  /// Positions per epoch: `options.draws`, or the number of rows; `importance` cannot draw more
  /// than there are.
  int64_t draws() const;
  EpochOrder epoch(int64_t epoch) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// How many of `rows` carry each class: [classes]. A label counts with its presence, not with its
/// value.
std::vector<int64_t> class_counts(const LabelTable& labels, std::span<const uint32_t> rows);

/// Weight of each row: the sum (or the largest) over its labels of 1000 / (count + offset).
std::vector<double> sample_weights(const LabelTable& labels, std::span<const uint32_t> rows,
                                   double count_offset, bool use_max);

}  // namespace xp::data
