#pragma once

#include <cstdint>
#include <optional>

#include "data/loader.h"

namespace xp::batches {

/// Batches of this rank in the order of the epoch. The loader in programs, a list in tests.
class Batches {
 public:
  virtual ~Batches() = default;
  virtual void start(int64_t epoch, int64_t first_step) = 0;
  virtual std::optional<data::Batch> next() = 0;
  virtual int64_t steps_per_epoch() const = 0;
  /// Clips of all ranks together in the batch number `step` of an epoch.
  virtual int64_t clips(int64_t step) const = 0;
  virtual data::LoaderStats take_stats() = 0;
};

}  // namespace xp::batches
