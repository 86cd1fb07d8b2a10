#pragma once

#include <string>

#include "core/dist/team.h"

namespace xp::graph {
struct StageContext;
}
namespace xp::schema {
struct PretrainStageOptions;
struct TrainStageOptions;
}  // namespace xp::schema

/// A training as a job of several ranks: what rank 0 tells its workers is the text of a stage.
namespace xp::train {

/// One rank's part (run_train.cpp, run_pretrain.cpp).
void train_rank(const schema::TrainStageOptions& options, graph::StageContext& context,
                const dist::Session& session);
void pretrain_rank(const schema::PretrainStageOptions& options, graph::StageContext& context,
                   const dist::Session& session);

dist::Job job_of(const schema::TrainStageOptions& options, const graph::StageContext& context);
dist::Job job_of(const schema::PretrainStageOptions& options, const graph::StageContext& context);

/// The job of such a text (dist::ReadJob). Into `context`: name, key, inputs, output, resources and
/// depth; sink and callbacks are the caller's.
dist::Job read_job(const std::string& text, graph::StageContext& context);

}  // namespace xp::train
