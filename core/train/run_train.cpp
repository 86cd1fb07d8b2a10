#include <algorithm>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/grad_mode.h>

#include "core/base/error.h"
#include "core/graph/stage.h"
#include "core/model/registry.h"
#include "core/recipe/options_io.h"
#include "core/schema/geometry.h"
#include "core/schema/stage_options.h"
#include "core/train/fit.h"
#include "core/train/predict.h"
#include "core/train/run.h"
#include "core/train/session.h"
#include "core/train/supervised.h"
#include "core/train/team.h"

namespace xp::train {
namespace {

/// What `--check` says of the network: the input, its tokens, what merging leaves of them in each
/// layer.
void say_shapes(const schema::TrainStageOptions& options, const model::Model& model, InputSize size,
                int64_t classes, graph::StageContext& context) {
  context.say(fmt::format("{}: input {} mel bins x {} frames, {} classes, {:.2f} M parameters",
                          options.model.arch, size.bins, size.frames, classes,
                          static_cast<double>(model.parameter_count()) * 1e-6));
  const schema::Arch arch = options.model.resolved();
  if (!schema::is_transformer(arch.family)) return;
  const schema::Grid grid = schema::patch_grid(options.model, {size.bins, size.frames});
  int64_t tokens = grid.count() + schema::kHeadTokens;
  context.say(fmt::format("patches {} x {} = {}, {} tokens", grid.f, grid.t, grid.count(), tokens));
  if (options.patchout) {
    tokens = schema::after_patchout(*options.patchout, grid).patches + schema::kHeadTokens;
    context.say(fmt::format("after patchout {} tokens", tokens));
  }
  if (!options.tome || !options.tome->r.any()) return;
  std::string list;
  for (const schema::Merge& merge : schema::tome_schedule(*options.tome, arch.depth, tokens))
    list += fmt::format(" {}{}", merge.tokens, merge.merged < merge.asked ? "*" : "");
  context.say("tokens after each block:" + list + "   (* fewer merged than asked)");
}

}  // namespace

void train_rank(const schema::TrainStageOptions& options, graph::StageContext& context,
                const Session& session) {
  const Clips clips = open_clips(context, options.dataset);
  const SplitRows rows = training_rows(clips, context);
  const schema::FrontendOptions frontend_options = with_stats(options.frontend, context);
  const frontend::Frontend frontend(frontend_options, options.augment);
  const InputSize size = input_size(frontend_options, clips, rows.train);
  const auto seed = static_cast<uint64_t>(options.seed);
  const auto model = model::make_model(options.model, options.tome ? &*options.tome : nullptr,
                                       options.patchout ? &*options.patchout : nullptr,
                                       {size.bins, size.frames}, clips.classes(), seed);
  for (const char* role : {"weights", "checkpoint"})
    if (const graph::StageInput* input = context.find_input(role))
      initialise(*model, options.model, frontend_options, *input, context);
  model->to(session.device);
  model->apply_freezing();
  if (context.depth == graph::Depth::kCheck && session.rank() == 0)
    say_shapes(options, *model, size, clips.classes(), context);

  std::optional<TeacherLogits> teacher;
  if (options.kd) {
    teacher.emplace(context.input("logits").path, options.kd->index, *options.kd, clips,
                    rows.train);
    if (session.rank() == 0) {
      context.say(teacher->description());
      if (teacher->missing() > 0)
        context.say(fmt::format("{} of {} clips have no teacher logits", teacher->missing(),
                                rows.train.size()));
    }
  }

  SupervisedTask::Setup setup;
  setup.model = model.get();
  setup.frontend = &frontend;
  setup.teacher = teacher ? &*teacher : nullptr;
  setup.kd = options.kd;
  setup.train = options.train;
  setup.clips = clips;
  setup.rows = rows.train;
  setup.seed = seed;
  setup.device = session.device;
  SupervisedTask task(std::move(setup));

  TrainingInput input;
  input.frontend = frontend_options;
  input.augment = options.augment;
  input.sampler = options.sampler;
  input.batch_size = std::min<int64_t>(
      options.train.batch_size, std::max<int64_t>(1, static_cast<int64_t>(rows.train.size())));
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
  fit.carried.classes = clips.class_list();
  fit.evidence["loss_kind"] = recipe::enum_name(options.train.loss);
  if (options.tome) fit.evidence["tome"] = recipe::to_text(*options.tome);
  if (options.patchout) fit.evidence["patchout"] = recipe::to_text(*options.patchout);
  if (!rows.val.empty())
    fit.validate = [&] {
      PredictOptions how;
      how.batch_size = evaluation_batch(0, session.device);
      how.precision = options.train.precision;
      how.device = session.device;
      how.workers = session.threads.load;
      how.group = session.group;
      how.check = [&] {
        if (session.group == nullptr) throw_if_stopped(context);
      };
      return score(predict({model.get()}, frontend, frontend_options, clips, rows.val, how),
                   options.train.loss);
    };
  run_fit(fit, context, session);
}

void run_train(const schema::TrainStageOptions& options, graph::StageContext& context) {
  run_team(options, context);
}

}  // namespace xp::train
