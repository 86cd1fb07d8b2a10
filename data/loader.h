#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/schema/dataset.h"
#include "data/augment.h"
#include "data/sampler.h"
#include "data/shard.h"

namespace xp::data {

/// Where batches live: ordinary memory by default, pinned memory when the training side hands in
/// its own. Both functions are called from the loader's threads.
struct Allocator {
  std::function<void*(size_t bytes)> allocate;
  std::function<void(void* memory, size_t bytes)> release;
};

/// What the model gets of B clips, B <= the batch size of this rank. Pointers stay valid as long as
/// the Batch (or a copy of `storage`) lives; its memory then goes back to the loader's pool.
struct Batch {
  int64_t size = 0;              ///< B
  int64_t samples = 0;           ///< N, the longest clip of the batch or LoaderOptions::samples
  int64_t classes = 0;           ///< K
  float* waves = nullptr;        ///< [B, N], zero beyond each clip's length; null where pcm is not.
                                 ///< Full scale is 1; samples of loud clips lie beyond it
  int16_t* pcm = nullptr;        ///< [B, N] the same in place of it: x stands for x / 32768
  float* labels = nullptr;       ///< [B, K], after waveform mixing
  float* mask = nullptr;         ///< [B, K] 1 = known; null unless the set is masked
  std::vector<int64_t> lengths;  ///< [B] samples
  std::vector<int64_t> rows;     ///< [B] position of the clip within the split's rows
  std::vector<int64_t> partner_rows;  ///< [B] the clip mixed in, -1 = none
  std::vector<float> mix;             ///< [B] weight of the first clip, 1 where there is no partner
  int64_t epoch = 0;
  int64_t step = 0;      ///< global batch number within the epoch, from 0
  int64_t position = 0;  ///< global position of this batch's first clip of this rank
  int64_t first = 0;     ///< global position of the first clip of all ranks
  int64_t total = 0;     ///< clips of all ranks
  std::shared_ptr<void> storage;
  /// What the caller made of it for a device, ahead of time; the loader leaves it empty.
  std::shared_ptr<const void> on_device;
};

struct LoaderOptions {
  std::shared_ptr<const ShardReader> shards;
  std::vector<uint32_t> rows;  ///< the split, see rows_of_split
  int64_t batch_size = 1;      ///< clips per step over all ranks
  int rank = 0;            ///< this rank takes positions [B rank / world, B (rank + 1) / world) of
  int world = 1;           ///< each global batch of B clips
  bool drop_last = false;  ///< leave out a last global batch that is not full
  int64_t samples = 0;     ///< cut and zero-pad every clip to this length, 0 = as long as it is
  schema::Crop crop =
      schema::Crop::kHead;  ///< which part of a longer clip; kFull = as long as it is
  WaveAugment augment;      ///< default: nothing
  uint64_t seed = 0;
  int workers = 0;   ///< threads, 0 = one per core
  int prefetch = 3;  ///< batches made ahead of the caller
  /// Give out the samples as they are stored (Batch::pcm) where the augmentation leaves their
  /// values alone and no clip of the batch lies above full scale: half the memory to write here and
  /// to copy to a device, which makes the floats.
  bool pcm = false;
  Allocator allocator;  ///< default: ordinary memory
};

/// What reading cost the caller.
struct LoaderStats {
  int64_t batches = 0;
  int64_t clips = 0;
  double stall_s = 0;  ///< time that `next` waited for a batch
  double busy_s = 0;   ///< time between calls of `next`: what the caller did with the batches
};

/// Shards to batches: worker threads read, verify, cut, augment and mix clips into batches that are
/// handed out in order. Contents are a pure function of (seed, epoch, position): the number of
/// workers, ranks and a resume change nothing. One caller; `next` rethrows what a worker threw, at
/// the batch it happened in.
class Loader {
 public:
  /// `sampler` indexes `options.rows` and must outlive the loader.
  Loader(LoaderOptions options, const Sampler& sampler);
  ~Loader();

  /// Begins epoch `epoch` at global batch `first_step` (0 = from the start). Batches that were made
  /// ahead for another place are dropped.
  void start(int64_t epoch, int64_t first_step = 0);
  /// The next batch of the epoch, or nullopt at its end.
  std::optional<Batch> next();

  /// True when `next` has a batch (or a worker's fault) at hand and would not wait.
  bool ready() const;

  int64_t steps_per_epoch() const;  ///< global batches
  LoaderStats take_stats();         ///< since the last call

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace xp::data
