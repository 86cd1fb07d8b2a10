#include <optional>
#include <vector>

#include <fmt/format.h>

#include "core/dist/team.h"
#include "core/evaluate/predict.h"
#include "core/graph/stage.h"
#include "core/model/registry.h"
#include "core/recipe/options_io.h"
#include "core/schema/geometry.h"
#include "core/schema/stage_options.h"
#include "core/train/head_bias.h"
#include "core/train/job.h"
#include "core/train/label_checks.h"
#include "core/train/run.h"
#include "core/train/supervised.h"
#include "core/train/training_setup.h"

namespace xp::train {
namespace {

/// What `--check` says of the network: the input, its tokens, what the reducers leave of them in
/// each block.
void say_shapes(const schema::TrainStageOptions& options, const model::Model& model,
                model::Geometry size, int64_t classes, graph::StageContext& context) {
  context.say(fmt::format("{}: input {} mel bins x {} frames, {} classes, {:.2f} M parameters",
                          options.model.arch, size.F, size.T, classes,
                          static_cast<double>(model.parameter_count()) * 1e-6));
  const schema::Arch arch = options.model.resolved();
  if (!schema::is_transformer(arch.family)) return;
  const schema::Grid grid = schema::patch_grid(options.model, size);
  const int64_t special = options.model.token_count();
  int64_t tokens = grid.count() + special;
  context.say(fmt::format("patches {} x {} = {}, {} tokens", grid.f, grid.t, grid.count(), tokens));
  if (options.patchout) {
    tokens = schema::after_patchout(*options.patchout, grid).patches + special;
    context.say(fmt::format("after patchout {} tokens", tokens));
  }
  if (!options.any()) return;
  std::string list;
  for (const schema::BlockTokens& block : schema::token_plan(options, arch, tokens, special))
    list += fmt::format(" {}{}", block.left, block.clamped ? "*" : "");
  context.say("tokens after each block:" + list + "   (* fewer taken than asked)");
}

std::optional<TeacherLogits> teacher_of(const schema::TrainStageOptions& options,
                                        const batches::Clips& clips,
                                        const std::vector<uint32_t>& rows,
                                        const graph::StageContext& context,
                                        const dist::Session& session) {
  if (!options.kd) return std::nullopt;
  std::optional<TeacherLogits> teacher(std::in_place, context.input("logits").path,
                                       options.kd->index, *options.kd, clips, rows);
  if (session.rank() != 0) return teacher;
  context.say(teacher->description());
  for (const std::string& warning : teacher->warnings()) context.say("WARNING: " + warning);
  if (teacher->missing() > 0)
    context.say(
        fmt::format("{} of {} clips have no teacher logits", teacher->missing(), rows.size()));
  return teacher;
}

}  // namespace

void train_rank(const schema::TrainStageOptions& options, graph::StageContext& context,
                const dist::Session& session) {
  TrainingSetup setup(FitOptions::of(options), context, session);
  const batches::Clips& clips = setup.clips();
  const auto model = model::make_model({.options = setup.model(),
                                        .geometry = setup.geometry(),
                                        .classes = clips.classes(),
                                        .reductions = options.reductions(),
                                        .patchout = options.patchout,
                                        .seed = static_cast<uint64_t>(options.seed)});
  const bool from_nothing =
      context.find_input("weights") == nullptr && context.find_input("checkpoint") == nullptr;
  start_head_bias(*model, options, from_nothing, clips, setup.rows().train);
  setup.start(*model);
  if (context.depth == graph::Depth::kCheck && session.rank() == 0)
    say_shapes(options, *model, setup.geometry(), clips.classes(), context);
  if (session.rank() == 0)
    for (const std::string& warning : label_warnings(clips, options.train.loss))
      context.say("WARNING: " + warning);
  const std::optional<TeacherLogits> teacher =
      teacher_of(options, clips, setup.rows().train, context, session);
  SupervisedTask task(setup.task(), *model, options.kd, teacher ? &*teacher : nullptr);

  Fit fit = setup.fit(*model, task);
  fit.carried.classes = clips.class_list();
  fit.carried.loss = options.train.loss;
  options.each([&](std::string_view section, const auto& reducer) {
    fit.evidence[std::string(section)] = recipe::to_text(reducer);
  });
  if (options.patchout) fit.evidence["patchout"] = recipe::to_text(*options.patchout);
  if (options.kd) fit.evidence["kd"] = recipe::to_text(*options.kd);
  if (!setup.rows().val.empty())
    fit.validate = [&] {
      return evaluate::score(
          evaluate::predict({model.get()}, setup.frontend(), setup.frontend_options(), clips,
                            setup.rows().val, setup.validation()),
          options.train.loss);
    };
  run_fit(fit, context, session);
}

void run_train(const schema::TrainStageOptions& options, graph::StageContext& context) {
  dist::run_team(job_of(options, context), context);
}

}  // namespace xp::train
