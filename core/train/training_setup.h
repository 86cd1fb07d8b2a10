#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/evaluate/predict.h"
#include "core/frontend/frontend.h"
#include "core/model/model.h"
#include "core/schema/averaging.h"
#include "core/schema/model.h"
#include "core/schema/optimiser.h"
#include "core/schema/schedule.h"
#include "core/train/clip_task.h"
#include "core/train/fit.h"

namespace xp::train {

/// What the options of train and pretrain stages both have.
struct FitOptions {
  uint64_t seed = 0;
  schema::DatasetOptions dataset;
  schema::FrontendOptions frontend;
  schema::AugmentOptions augment;
  schema::SamplerOptions sampler;
  schema::ModelOptions model;
  schema::TrainOptions train;
  schema::OptimiserOptions optimiser;
  schema::ScheduleOptions schedule;
  schema::AveragingOptions averaging;

  template <class StageOptions>
  static FitOptions of(const StageOptions& o) {
    return {static_cast<uint64_t>(o.seed),
            o.dataset,
            o.frontend,
            o.augment,
            o.sampler,
            o.model,
            o.train,
            o.optimiser,
            o.schedule,
            o.averaging};
  }
};

/// Rows to train and to validate on. With `--overfit N` both are the same N clips, evenly spaced.
struct SplitRows {
  std::vector<uint32_t> train;
  std::vector<uint32_t> val;
};

/// A training stage without what it learns: clips, front end and batches of one rank. Keeps
/// references to the context and the session.
class TrainingSetup {
 public:
  /// Throws Error (kData) for a training split without clips.
  TrainingSetup(FitOptions options, graph::StageContext& context, const dist::Session& session);

  const batches::Clips& clips() const { return clips_; }
  const SplitRows& rows() const { return rows_; }
  const frontend::Frontend& frontend() const { return frontend_; }
  /// With the statistics of the stage's input.
  const schema::FrontendOptions& frontend_options() const { return frontend_options_; }
  /// With the time positions of the weights that the stage starts from.
  const schema::ModelOptions& model() const { return options_.model; }
  model::Geometry geometry() const { return {size_.bins, size_.frames}; }

  /// Takes the weights that the stage starts from, and goes to the session's device. Throws Error
  /// (kData) for clips that are too short for the model.
  void start(model::Model& model) const;
  ClipTask::Setup task() const;
  /// How the rows of `val` are scored.
  evaluate::PredictOptions validation() const;
  /// Trains; `carried.classes` and `.loss`, `evidence` and `validate` are the caller's to fill.
  Fit fit(model::Model& model, Task& task);

 private:
  FitOptions options_;
  graph::StageContext& context_;
  const dist::Session& session_;
  batches::Clips clips_;
  SplitRows rows_;
  schema::FrontendOptions frontend_options_;
  frontend::Frontend frontend_;
  batches::InputSize size_;
  std::unique_ptr<batches::Batches> batches_;
};

}  // namespace xp::train
