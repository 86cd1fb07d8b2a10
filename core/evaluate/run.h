#pragma once

#include <span>

namespace xp::graph {
struct StageContext;
}
namespace xp::schema {
struct TeachStageOptions;
struct EvaluateStageOptions;
struct BaselineStageOptions;
struct EmbedStageOptions;
struct AggregateOptions;
}  // namespace xp::schema

/// The run halves of the stages that score (core/graph/stages.inc): what each reads and writes is
/// said there and in docs/formats/predictions.md. They throw xp::Error for the world's faults and
/// xp::Stopped after a request to stop.
namespace xp::evaluate {

void run_teach(const schema::TeachStageOptions& options, graph::StageContext& context);
void run_evaluate(const schema::EvaluateStageOptions& options, graph::StageContext& context);

/// Several evaluations of the same inputs in one process: a model is loaded once, and those that
/// differ only in merging and in what they compute from the scores share one pass over the clips.
/// Their files have the bits that each has alone; speeds are measured one after the other.
void run_evaluate_many(std::span<const schema::EvaluateStageOptions* const> options,
                       std::span<graph::StageContext* const> contexts);
void run_baseline(const schema::BaselineStageOptions& options, graph::StageContext& context);
void run_embed(const schema::EmbedStageOptions& options, graph::StageContext& context);
void run_aggregate(const schema::AggregateOptions& options, graph::StageContext& context);

}  // namespace xp::evaluate
