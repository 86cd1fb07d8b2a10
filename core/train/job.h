#pragma once

#include <string>

namespace xp::graph {
struct StageContext;
}
namespace xp::schema {
struct PretrainStageOptions;
struct TrainStageOptions;
}  // namespace xp::schema

/// A stage as a text that another process can take up: what rank 0 tells its workers.
namespace xp::train {

std::string job_text(const schema::TrainStageOptions& options, const graph::StageContext& context);
std::string job_text(const schema::PretrainStageOptions& options,
                     const graph::StageContext& context);

/// "train" or "pretrain".
std::string job_kind(const std::string& text);
schema::TrainStageOptions train_job(const std::string& text);
schema::PretrainStageOptions pretrain_job(const std::string& text);
/// Name, key, inputs, output, resources and depth; sink and callbacks are the caller's.
void read_job_context(const std::string& text, graph::StageContext& context);

}  // namespace xp::train
