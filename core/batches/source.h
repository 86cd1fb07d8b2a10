#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/batches/batches.h"
#include "core/batches/device_batches.h"
#include "core/schema/augment.h"
#include "core/schema/dataset.h"
#include "core/schema/frontend.h"
#include "core/schema/sampler.h"
#include "data/loader.h"
#include "data/sampler.h"
#include "data/shard.h"

namespace xp::graph {
struct StageContext;
}

namespace xp::batches {

/// Prepared clips and their splits.
struct Clips {
  std::shared_ptr<const data::ShardReader> shards;
  schema::DatasetOptions dataset;

  /// Rows of the split that plays `role` (train, val, test); empty for "none".
  std::vector<uint32_t> rows(std::string_view role) const;
  int64_t classes() const { return static_cast<int64_t>(shards->classes().size()); }
  /// Ids and names of the classes.
  std::vector<std::pair<std::string, std::string>> class_list() const;
};

/// Opens the input of role "data".
Clips open_clips(const graph::StageContext& context, const schema::DatasetOptions& dataset);

/// The front end with the statistics of the stage's input "stats", where it has one.
schema::FrontendOptions with_stats(const schema::FrontendOptions& frontend,
                                   const graph::StageContext& context);

/// Samples that a clip is cut to when it is loaded, 0 = whole. AST takes the mean off the whole
/// clip and cuts frames, so its clips are cut here only where `dataset.crop` says where.
int64_t load_samples(const schema::FrontendOptions& frontend, schema::Crop crop);

/// Spectrogram size that a model to be trained is built for: fixed by the front end, or by the
/// longest of `rows`.
struct InputSize {
  int64_t bins = 0;
  int64_t frames = 0;
};
InputSize input_size(const schema::FrontendOptions& frontend, const Clips& clips,
                     const std::vector<uint32_t>& rows);

/// Throws Error (kData) where some of `rows` have less than `least_frames` frames: how many, and
/// the shortest by name. A clip that no model can hear is so in any batch.
void check_lengths(const Clips& clips, const std::vector<uint32_t>& rows,
                   const schema::FrontendOptions& frontend, int64_t least_frames);

/// Batches of training clips: sampler and loader of one rank.
struct TrainingInput {
  schema::FrontendOptions frontend;
  schema::AugmentOptions augment;
  schema::SamplerOptions sampler;
  int64_t batch_size = 1;
  uint64_t seed = 0;
  int workers = 1;
  int rank = 0;
  int world = 1;
  at::Device device = at::kCPU;
};
std::unique_ptr<Batches> training_batches(const Clips& clips, std::vector<uint32_t> rows,
                                          const TrainingInput& input);

/// Every clip of `rows` once, no augmentation: the longest first where their lengths differ, so
/// that those of a batch are about as long, else in order. Batch::rows says which they are, 0 ..
/// N-1.
class EvaluationBatches {
 public:
  struct How {
    int64_t batch_size = 1;
    int workers = 1;
    at::Device device = at::kCPU;
    bool whole = false;  ///< what is behind the front end's length too, for windows
  };
  EvaluationBatches(const Clips& clips, const std::vector<uint32_t>& rows,
                    const schema::FrontendOptions& frontend, const How& how);
  ~EvaluationBatches();
  std::optional<data::Batch> next();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Clips in a forward pass: `wanted`, or where the recipe leaves it open (0) what fits easily.
int64_t evaluation_batch(int64_t wanted, at::Device device);

}  // namespace xp::batches
