// What every stage kind makes of a small set, pinned to the version that stages.inc gives it:
// whoever changes a result has to bump the version, else old outputs would be taken for new ones.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/base/files.h"
#include "core/evaluate/evaluation.h"
#include "core/evaluate/run.h"
#include "core/evaluate/score_file.h"
#include "core/graph/stage.h"
#include "core/schema/stage_options.h"
#include "core/train/run.h"
#include "data/prepare.h"
#include "data/shard.h"
#include "data/stats.h"
#include "tests/train/stages_fixture.h"

namespace xp::train {
namespace {

using namespace fixture;
namespace fs = std::filesystem;

struct Pinned {
  const char* kind;
  double tolerance;  ///< relative; instruction sets sum in different orders
};
/// In the order in which they feed each other: a change shows first where it was made.
constexpr Pinned kPinned[] = {
    {"prepare", 0},     {"stats", 1e-5}, {"pretrain", 2e-3},
    {"train", 2e-3},    {"teach", 5e-3}, {"evaluate", 5e-3},
    {"baseline", 1e-6}, {"embed", 5e-3}, {"aggregate", 1e-12},
};

fs::path golden() { return xp::testing::source_dir() / "tests/fixtures/stage_versions.json"; }

std::vector<double> mean_and_size(const fs::path& file) {
  const evaluate::ScoreFile scores = evaluate::read_scores(file);
  double sum = 0;
  double size = 0;
  for (const float value : scores.values) {
    sum += static_cast<double>(value);
    size += std::abs(static_cast<double>(value));
  }
  const auto count = static_cast<double>(scores.values.size());
  return {count, sum / count, size / count};
}

class VersionsIntegration : public Stages {
 protected:
  std::vector<double> figures_of(std::string_view kind) {
    if (kind == "prepare") return prepare();
    if (kind == "stats") return stats();
    if (kind == "pretrain") return pretrain();
    if (kind == "train") return train();
    if (kind == "teach") return teach();
    if (kind == "evaluate") return evaluate();
    if (kind == "baseline") return baseline();
    if (kind == "embed") return embed();
    if (kind == "aggregate") return aggregate();
    ADD_FAILURE() << "no pin for the stage kind " << kind;
    return {};
  }

 private:
  /// Sizes of the files, and the sound with a weight for each place.
  static std::vector<double> prepare() {
    const data::ShardReader shards(*folder_ / "prepare");
    double sound = 0;
    for (int64_t row = 0; row < shards.clips(); ++row) {
      std::vector<int16_t> pcm(static_cast<size_t>(shards.samples(row)));
      shards.read(row, pcm);
      for (size_t i = 0; i < pcm.size(); ++i)
        sound += pcm[i] * static_cast<double>((i + static_cast<size_t>(row)) % 97);
    }
    return {static_cast<double>(fs::file_size(*folder_ / "prepare/index.json")),
            static_cast<double>(fs::file_size(shards.files()[0])), sound};
  }
  std::vector<double> stats() {
    graph::StageContext context = stage("stats", sink_);
    schema::StatsOptions options;
    options.dataset = small_set();
    data::run_stats(options, context);
    const auto out = nlohmann::json::parse(read_file(context.output / "stats.json"));
    return {out.at("norm_mean").get<double>(), out.at("norm_std").get<double>()};
  }
  std::vector<double> pretrain() {
    schema::PretrainStageOptions options = small_pretraining();
    options.train.epochs = 1;
    options.train.log_every_steps = 1;
    options.optimiser.lr = 1e-3;
    graph::StageContext context = stage("pretrain", sink_);
    run_pretrain(options, context);
    return {sink_.last("train.loss_nce"), sink_.last("train.loss_mse")};
  }
  std::vector<double> train() {
    graph::StageContext context = stage("train", sink_);
    run_train(small_training(), context);
    return {sink_.last("train.loss"), sink_.last("val.loss")};
  }
  template <class Options>
  graph::StageContext with_checkpoint(const std::string& kind, Options& options) {
    options.dataset = small_set();
    options.frontend = small_frontend();
    options.model = small_training().model;
    graph::StageContext context = stage(kind, sink_);
    add(context, "checkpoint", "train", "average");
    return context;
  }
  std::vector<double> teach() {
    schema::TeachStageOptions options;
    graph::StageContext context = with_checkpoint("teach", options);
    evaluate::run_teach(options, context);
    return mean_and_size(context.output / "logits.h5");
  }
  std::vector<double> evaluate() {
    schema::EvaluateStageOptions options;
    graph::StageContext context = with_checkpoint("evaluate", options);
    options.tome.emplace();
    options.tome->r.value = 1;
    options.eval.metrics = {schema::Metric::k_acc};
    evaluate::run_evaluate(options, context);
    return mean_and_size(context.output / "predictions.h5");
  }
  std::vector<double> embed() {
    schema::EmbedStageOptions options;
    graph::StageContext context = with_checkpoint("embed", options);
    evaluate::run_embed(options, context);
    return mean_and_size(context.output / "embeddings.h5");
  }
  std::vector<double> baseline() {
    schema::BaselineStageOptions options;
    options.dataset = small_set();
    options.frontend = small_frontend();
    options.eval.metrics = {schema::Metric::k_acc};
    options.loss = schema::Loss::kCe;
    graph::StageContext context = stage("baseline", sink_);
    evaluate::run_baseline(options, context);
    return {evaluate::read_metrics(context.output).at("acc")};
  }
  std::vector<double> aggregate() {
    graph::StageContext context = stage("aggregate", sink_);
    for (const double acc : {0.5, 0.75, 0.875}) {
      const std::string fold = fmt::format("fold {}", acc);
      fs::create_directories(*folder_ / fold);
      evaluate::Evaluation evaluation;
      evaluation.metrics["acc"] = acc;
      evaluate::write_metrics(*folder_ / fold, evaluation);
      add(context, "inputs", fold, "output");
    }
    evaluate::run_aggregate({}, context);
    const auto metrics = evaluate::read_metrics(context.output);
    return {metrics.at("acc"), metrics.at("acc_std")};
  }

  tracker::MemorySink sink_;
};

bool near(const std::vector<double>& a, const std::vector<double>& b, double tolerance) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [tolerance](double x, double y) {
    return std::abs(x - y) <= tolerance * std::max(std::abs(y), 0.01);  // a mean may be next to 0
  });
}

TEST_F(VersionsIntegration, AResultOfAStageChangesWithItsVersionOnly) {
  ASSERT_EQ(std::size(kPinned), graph::stage_kinds().size()) << "every stage kind is pinned";
  const bool update = !xp::testing::env("EXP_UPDATE_GOLDEN").empty();
  nlohmann::json pins = nlohmann::json::parse(read_file(golden()));
  for (const Pinned& pinned : kPinned) {
    const graph::StageKindInfo* info = graph::find_stage_kind(pinned.kind);
    ASSERT_NE(info, nullptr) << pinned.kind;
    const std::vector<double> figures = figures_of(pinned.kind);
    nlohmann::json& pin = pins[pinned.kind];
    if (update) {
      pin = {{"version", info->version}, {"figures", figures}};
      continue;
    }
    ASSERT_EQ(info->version, pin.at("version").get<int>())
        << "the version of " << pinned.kind
        << " was bumped: run this test once with EXP_UPDATE_GOLDEN=1";
    ASSERT_TRUE(near(figures, pin.at("figures").get<std::vector<double>>(), pinned.tolerance))
        << "the stage " << pinned.kind << " gives " << nlohmann::json(figures).dump()
        << ", version " << info->version << " of it gave " << pin.at("figures").dump()
        << ": bump its version in core/graph/stages.inc";
  }
  if (update) write_file_atomic(golden(), pins.dump(1) + "\n");
}

}  // namespace
}  // namespace xp::train
