#pragma once

namespace xp::graph {
struct StageContext;
}
namespace xp::schema {
struct PretrainStageOptions;
struct TrainStageOptions;
}  // namespace xp::schema

/// The run halves of the stages that learn (core/graph/stages.inc): what each reads and writes is
/// said there and in docs/formats/checkpoint.md. They throw xp::Error for the world's faults and
/// xp::Stopped after a request to stop, with what the next attempt needs in the output.
namespace xp::train {

void run_pretrain(const schema::PretrainStageOptions& options, graph::StageContext& context);
void run_train(const schema::TrainStageOptions& options, graph::StageContext& context);

}  // namespace xp::train
