#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>

#include <ATen/core/Tensor.h>

#include "core/frontend/spectrograms.h"
#include "data/loader.h"

namespace c10 {
class Stream;
}

namespace xp::batches {

/// The batches of a loader as a device takes them. For a GPU they lie in pinned memory, and the
/// next one is on its way, on a stream of its own, while this one is computed with.
class DeviceBatches {
 public:
  /// `sampler` must outlive it.
  DeviceBatches(data::LoaderOptions options, const data::Sampler& sampler, at::Device device);
  ~DeviceBatches();

  /// As data::Loader's; a fault is thrown at the batch it happened in.
  void start(int64_t epoch, int64_t first_step);
  std::optional<data::Batch> next();
  const data::Loader& loader() const { return *loader_; }
  data::LoaderStats take_stats() { return loader_->take_stats(); }

 private:
  std::optional<data::Batch> fetch();

  at::Device device_;
  std::unique_ptr<c10::Stream> stream_;  ///< null on the CPU
  std::unique_ptr<data::Loader> loader_;
  std::optional<data::Batch> ahead_;
  std::exception_ptr failed_;  ///< of the batch after the one that was given out last
};

/// A batch's arrays as tensors on `device`, float32: what is there already, or views that keep its
/// memory alive where they can be. Samples of 16 bits become floats on the device.
frontend::Waves waves_of(const data::Batch& batch, at::Device device);
at::Tensor labels_of(const data::Batch& batch, at::Device device);
/// Undefined unless the set is masked.
at::Tensor mask_of(const data::Batch& batch, at::Device device);

}  // namespace xp::batches
