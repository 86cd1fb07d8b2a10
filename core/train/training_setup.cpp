#include "core/train/training_setup.h"

#include <algorithm>

#include "core/base/error.h"
#include "core/dist/session.h"
#include "core/graph/stage.h"
#include "core/load/stage_model.h"
#include "core/recipe/options_io.h"
#include "core/schema/norm_group.h"
#include "data/overlap.h"

namespace xp::train {
namespace {

SplitRows training_rows(const batches::Clips& clips, const graph::StageContext& context) {
  SplitRows rows{clips.rows("train"), clips.rows("val")};
  if (rows.train.empty()) throw Error("the training split has no clips", Exit::kData);
  if (context.depth != graph::Depth::kOverfit) return rows;
  const size_t count = std::min(rows.train.size(), static_cast<size_t>(context.overfit_clips));
  std::vector<uint32_t> few;
  for (size_t i = 0; i < count; ++i) few.push_back(rows.train[i * rows.train.size() / count]);
  return {few, few};
}

std::unique_ptr<batches::Batches> batches_of(const FitOptions& options, const batches::Clips& clips,
                                             const std::vector<uint32_t>& rows,
                                             const schema::FrontendOptions& frontend,
                                             const dist::Session& session) {
  batches::TrainingInput input;
  input.frontend = frontend;
  input.augment = options.augment;
  input.sampler = options.sampler;
  input.batch_size = std::min(options.train.batch_size, static_cast<int64_t>(rows.size()));
  input.seed = options.seed;
  input.workers = session.threads.load;
  input.rank = session.rank();
  input.world = session.world();
  input.device = session.device;
  return batches::training_batches(clips, rows, input);
}

}  // namespace

TrainingSetup::TrainingSetup(FitOptions options, graph::StageContext& context,
                             const dist::Session& session)
    : options_(std::move(options)),
      context_(context),
      session_(session),
      clips_(batches::open_clips(context, options_.dataset)),
      rows_(training_rows(clips_, context)),
      frontend_options_(batches::with_stats(options_.frontend, context)),
      frontend_(frontend_options_, options_.augment),
      size_(batches::input_size(frontend_options_, clips_, rows_.train)),
      batches_(batches_of(options_, clips_, rows_.train, frontend_options_, session)) {
  for (const char* role : {"weights", "checkpoint"})
    if (const graph::StageInput* input = context_.find_input(role))
      load::take_positions(options_.model, *input, size_.frames);
  if (session.rank() != 0 || context.depth == graph::Depth::kOverfit) return;
  for (const std::string& line : data::overlap_warnings(*clips_.shards, options_.dataset))
    context.say("WARNING: " + line);
}

void TrainingSetup::start(model::Model& model) const {
  batches::check_lengths(clips_, rows_.train, frontend_options_, model.least_frames());
  batches::check_lengths(clips_, rows_.val, frontend_options_, model.least_frames());
  for (const char* role : {"weights", "checkpoint"})
    if (const graph::StageInput* input = context_.find_input(role))
      load::initialise(model, options_.model, frontend_options_, clips_.class_list(), *input,
                       context_);
  model.to(session_.device);
  model.apply_freezing();
}

ClipTask::Setup TrainingSetup::task() const {
  ClipTask::Setup setup;
  setup.frontend = &frontend_;
  setup.train = options_.train;
  setup.clips = clips_;
  setup.rows = rows_.train;
  setup.seed = options_.seed;
  setup.device = session_.device;
  setup.group = session_.group;
  setup.spec_mix_alpha = options_.augment.spec_mix_alpha;
  setup.norm_group = schema::norm_group(options_.train, options_.model.resolved().family);
  setup.frames = size_.frames;
  return setup;
}

evaluate::PredictOptions TrainingSetup::validation() const {
  evaluate::PredictOptions how;
  how.batch_size = batches::evaluation_batch(0, session_.device);
  how.precision = options_.train.precision;
  how.device = session_.device;
  how.workers = session_.threads.load;
  how.group = session_.group;
  how.check = [this] {
    if (session_.group == nullptr) graph::throw_if_stopped(context_);
  };
  return how;
}

Fit TrainingSetup::fit(model::Model& model, Task& task) {
  Fit fit;
  fit.model = &model;
  fit.task = &task;
  fit.batches = batches_.get();
  fit.train = options_.train;
  fit.optimiser = options_.optimiser;
  fit.schedule = options_.schedule;
  fit.averaging = options_.averaging;
  fit.carried.model = options_.model;
  fit.carried.frontend = frontend_options_;
  fit.carried.geometry = geometry();
  fit.evidence["train"] = recipe::to_text(options_.train);
  return fit;
}

}  // namespace xp::train
