#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "data/loader.h"
#include "data/pool.h"

namespace xp::data {

/// The work of a loader without its threads: which clips a batch is made of, and how one clip is
/// filled in.
class BatchMaker {
 public:
  explicit BatchMaker(const LoaderOptions& options);

  /// A batch whose memory, rows, draws and lengths are there, but no sound or label yet.
  struct Plan {
    Batch batch;
    std::vector<WaveDraw> draws;  ///< [B]
  };
  Plan plan(const EpochOrder& order, int64_t epoch, int64_t step) const;
  int64_t steps(int64_t draws) const;

  /// Sound and labels of clip `i`; clips may be filled in any order and from any thread.
  void fill(Plan& plan, int64_t i) const;

 private:
  int64_t length_of(int64_t index) const;
  /// One clip as its own augmentation makes it, cut or padded to `out`.
  template <class Sample>
  void clip_into(int64_t index, const ClipDraw& draw, uint64_t crop_draw,
                 std::span<Sample> out) const;
  /// The clip of place `i` into its row of `all`, [B, N], zeros behind it. Returns its part of the
  /// row.
  template <class Sample>
  std::span<Sample> fill_row(const Plan& plan, int64_t i, uint64_t crop_draw, Sample* all) const;
  void add_labels(int64_t index, float weight, std::span<float> labels,
                  std::span<float> mask) const;

  const LoaderOptions& options_;
  std::shared_ptr<BufferPool> pool_;
};

}  // namespace xp::data
