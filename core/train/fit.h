#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/dist/session.h"
#include "core/load/weights_file.h"
#include "core/model/model.h"
#include "core/schema/averaging.h"
#include "core/schema/optimiser.h"
#include "core/schema/schedule.h"
#include "core/schema/train.h"
#include "core/train/loop.h"

namespace xp::train {

/// A training: what train and pretrain stages share.
struct Fit {
  model::Model* model = nullptr;
  Task* task = nullptr;
  batches::Batches* batches = nullptr;
  schema::TrainOptions train;
  schema::OptimiserOptions optimiser;
  schema::ScheduleOptions schedule;
  schema::AveragingOptions averaging;
  load::Carried carried;                        ///< epoch, step and metrics are filled in
  std::map<std::string, std::string> evidence;  ///< texts kept beside a broken step
  std::function<std::map<std::string, double>()> validate;  ///< null = nothing to validate on
};

/// Trains from the newest checkpoint in the output folder, from `train.start_from`, or from the
/// start; then leaves last, best and (with averaging) average weights and the last full state
/// there.
void run_fit(Fit& fit, graph::StageContext& context, const dist::Session& session);

}  // namespace xp::train
