#include "core/dist/team.h"
#include "core/model/registry.h"
#include "core/recipe/options_io.h"
#include "core/schema/stage_options.h"
#include "core/train/job.h"
#include "core/train/pretrain_task.h"
#include "core/train/run.h"
#include "core/train/training_setup.h"

namespace xp::train {

void pretrain_rank(const schema::PretrainStageOptions& options, graph::StageContext& context,
                   const dist::Session& session) {
  TrainingSetup setup(FitOptions::of(options), context, session);
  const auto model = model::make_masked_model(options.model, setup.geometry(),
                                              static_cast<uint64_t>(options.seed));
  setup.start(*model);
  PretrainTask task(setup.task(), *model, options.pretrain);
  Fit fit = setup.fit(*model, task);
  fit.evidence["pretrain"] = recipe::to_text(options.pretrain);
  if (!setup.rows().val.empty())
    fit.validate = [&] {
      return task.validate(setup.rows().val, setup.frontend_options(), setup.validation());
    };
  run_fit(fit, context, session);
}

void run_pretrain(const schema::PretrainStageOptions& options, graph::StageContext& context) {
  dist::run_team(job_of(options, context), context);
}

}  // namespace xp::train
