#include <algorithm>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/base/error.h"
#include "core/graph/stage.h"
#include "core/model/registry.h"
#include "core/schema/stage_options.h"
#include "core/train/fit.h"
#include "core/train/pretrain_task.h"
#include "core/train/run.h"
#include "core/train/session.h"
#include "core/train/team.h"

namespace xp::train {
void pretrain_rank(const schema::PretrainStageOptions& options, graph::StageContext& context,
                   const Session& session) {
  const Clips clips = open_clips(context, options.dataset);
  const SplitRows rows = training_rows(clips, context);
  const schema::FrontendOptions frontend_options = with_stats(options.frontend, context);
  const frontend::Frontend frontend(frontend_options, options.augment);
  const InputSize size = input_size(frontend_options, clips, rows.train);
  const auto seed = static_cast<uint64_t>(options.seed);
  const auto model = model::make_masked_model(options.model, {size.bins, size.frames}, seed);
  if (const graph::StageInput* input = context.find_input("weights"))
    initialise(*model, options.model, frontend_options, *input, context);
  model->to(session.device);
  model->apply_freezing();

  PretrainTask::Setup setup;
  setup.model = model.get();
  setup.frontend = &frontend;
  setup.pretrain = options.pretrain;
  setup.train = options.train;
  setup.clips = clips;
  setup.rows = rows.train;
  setup.seed = seed;
  setup.device = session.device;
  PretrainTask task(std::move(setup));

  TrainingInput input;
  input.frontend = frontend_options;
  input.augment = options.augment;
  input.sampler = options.sampler;
  input.batch_size =
      std::min<int64_t>(options.train.batch_size, static_cast<int64_t>(rows.train.size()));
  input.seed = seed;
  input.workers = session.threads.load;
  input.rank = session.rank();
  input.world = session.world();
  input.device = session.device;
  const auto batches = training_batches(clips, rows.train, input);

  Fit fit;
  fit.model = model.get();
  fit.task = &task;
  fit.batches = batches.get();
  fit.train = options.train;
  fit.optimiser = options.optimiser;
  fit.schedule = options.schedule;
  fit.averaging = options.averaging;
  fit.carried.model = options.model;
  fit.carried.frontend = frontend_options;
  fit.carried.geometry = {size.bins, size.frames};
  if (!rows.val.empty())
    fit.validate = [&] {
      PredictOptions how;
      how.batch_size = evaluation_batch(0, session.device);
      how.device = session.device;
      how.workers = session.threads.load;
      how.group = session.group;
      return task.validate(rows.val, frontend_options, how);
    };
  run_fit(fit, context, session);
}

void run_pretrain(const schema::PretrainStageOptions& options, graph::StageContext& context) {
  run_team(options, context);
}

}  // namespace xp::train
