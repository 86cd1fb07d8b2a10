#include <algorithm>
#include <cmath>
#include <span>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/base/error.h"
#include "core/dist/session.h"
#include "core/evaluate/bench.h"
#include "core/evaluate/evaluation.h"
#include "core/evaluate/predict.h"
#include "core/evaluate/run.h"
#include "core/evaluate/score_file.h"
#include "core/graph/stage.h"
#include "core/load/stage_model.h"
#include "core/metric/metrics.h"
#include "core/model/registry.h"
#include "core/recipe/options_io.h"
#include "core/schema/stage_options.h"
#include "tracker/run_sink.h"

namespace xp::evaluate {
namespace {

std::vector<float> floats(const at::Tensor& tensor) {
  if (!tensor.defined()) return {};
  const at::Tensor values = tensor.to(at::kFloat).contiguous();
  return {values.data_ptr<float>(), values.data_ptr<float>() + values.numel()};
}

/// The split under its role's name, all of it or (in a rehearsal) its first clips.
std::vector<uint32_t> scored_rows(const batches::Clips& clips, std::string_view split,
                                  const graph::StageContext& context, int64_t batch) {
  std::vector<uint32_t> rows = clips.rows(split);
  if (rows.empty()) throw Error(fmt::format("the split '{}' has no clips", split), Exit::kData);
  size_t most = rows.size();
  if (context.depth == graph::Depth::kCheck) most = static_cast<size_t>(batch);
  if (context.depth == graph::Depth::kOverfit) most = static_cast<size_t>(context.overfit_clips);
  rows.resize(std::min(rows.size(), most));
  return rows;
}

PredictOptions predict_options(const schema::EvalOptions& eval, const dist::Session& session,
                               graph::StageContext& context) {
  PredictOptions how;
  how.batch_size = batches::evaluation_batch(eval.batch_size, session.device);
  how.window_s = eval.window_s;
  how.window_hop_s = eval.window_hop_s;
  how.precision = eval.precision;
  how.device = session.device;
  how.workers = session.threads.load;
  how.check = [&context] { graph::throw_if_stopped(context); };
  how.progress = [&context](int64_t done, int64_t total) {
    context.progress("clips", static_cast<double>(done), static_cast<double>(total));
  };
  return how;
}

/// What the stages that run checkpoints over a split begin with.
struct Scoring {
  /// `reductions`: of the models themselves.
  template <class Options>
  Scoring(const Options& options, std::string_view split, const schema::Reductions& reductions,
          graph::StageContext& context)
      : session(dist::single_session(context, 0)),
        clips(batches::open_clips(context, options.dataset)),
        frontend_options(batches::with_stats(options.frontend, context)),
        frontend(frontend_options, {}),
        how(predict_options(options.eval, session, context)),
        rows(scored_rows(clips, split, context, how.batch_size)),
        models(load::load_models(context, {options.model, frontend_options, reductions}, clips,
                                 session.device)) {}

  Predictions predict(const std::vector<uint32_t>& some) const {
    return evaluate::predict(load::pointers(models), frontend, frontend_options, clips, some, how);
  }

  dist::Session session;
  batches::Clips clips;
  schema::FrontendOptions frontend_options;
  frontend::Frontend frontend;
  PredictOptions how;
  std::vector<uint32_t> rows;
  std::vector<load::LoadedModel> models;
};

std::vector<std::string> ids_of(const batches::Clips& clips, const std::vector<uint32_t>& rows) {
  std::vector<std::string> ids;
  for (const uint32_t row : rows) ids.emplace_back(clips.shards->id(row));
  return ids;
}

std::string names_of(const std::vector<load::LoadedModel>& models) {
  std::string names;
  for (const load::LoadedModel& model : models) names += (names.empty() ? "" : " + ") + model.name;
  return names;
}

/// The reducers of each model: none where the stage has none or the model no tokens.
Reduced reducers_of(const schema::Reductions& reductions,
                    const std::vector<load::LoadedModel>& models) {
  Reduced way;
  for (const load::LoadedModel& loaded : models) {
    const int64_t depth = loaded.model->depth();
    way.push_back(depth > 0 ? model::make_reducers(reductions, depth) : model::Reducers());
  }
  return way;
}

/// Speed with the recipe's reducers and, where there are some, without: `no_tome/` stands before
/// those.
void add_bench(const model::Model& model, const model::Reducers& reducers,
               const schema::EvalOptions& eval, batches::InputSize size,
               const dist::Session& session, graph::StageContext& context,
               std::map<std::string, double>& metrics) {
  BenchOptions how;
  how.batch = eval.bench_batch;
  how.precision = eval.precision;
  how.reps = context.depth == graph::Depth::kFull ? eval.bench_reps : 1;
  if (context.depth != graph::Depth::kFull) how.warm_up = 1;
  const auto passes = static_cast<double>(how.passes() * (reducers.empty() ? 1 : 2));
  how.check = [&context, passes, done = 0.0]() mutable {
    graph::throw_if_stopped(context);
    context.progress("bench", done++, passes);
  };
  how.reducers = &reducers;
  for (const auto& [leaf, value] : bench(model, size, session.device, how)) metrics[leaf] = value;
  if (reducers.empty()) return;
  const model::Reducers none;
  how.reducers = &none;
  for (const auto& [leaf, value] : bench(model, size, session.device, how))
    if (leaf != "params_m") metrics["no_tome/" + leaf] = value;
}

/// One evaluation of several with equal inputs.
struct Evaluated {
  const schema::EvaluateStageOptions* options;
  graph::StageContext* context;
};

/// All that the scores of the clips depend on beside merging and the inputs; evaluations for which
/// it is equal share a pass.
std::string pass_of(const schema::EvaluateStageOptions& options) {
  const schema::EvalOptions& eval = options.eval;
  return recipe::to_text(options.dataset) + recipe::to_text(options.frontend) +
         recipe::to_text(options.model) +
         fmt::format("{} {} {} {} {}", recipe::enum_name(eval.split), eval.batch_size,
                     eval.window_s, eval.window_hop_s, recipe::enum_name(eval.precision));
}

/// Metrics, files and speed of one evaluation whose clips are scored.
void finish_evaluation(const Evaluated& one, const Predictions& predictions, ScoredSplit scored,
                       const std::vector<load::LoadedModel>& models,
                       const model::Reducers& reducers, batches::InputSize size,
                       const dist::Session& session) {
  scored.logits = floats(predictions.logits);
  scored.targets = floats(predictions.targets);
  scored.mask = floats(predictions.mask);
  const schema::EvalOptions& eval = one.options->eval;
  Evaluation evaluation = evaluate(scored, eval, static_cast<uint64_t>(one.options->seed));
  for (const auto& [leaf, why] : evaluation.absent)
    one.context->say(fmt::format("no {}: {}", leaf, why));
  const double loss = mean_loss(predictions, one.options->loss);
  if (std::isfinite(loss)) evaluation.metrics["loss"] = loss;
  if (eval.bench)
    add_bench(*models.front().model, reducers, eval, size, session, *one.context,
              evaluation.metrics);
  report_evaluation(evaluation, scored, eval, one.context->output, *one.context->sink);
  // Not in metrics.json: that is the same each time.
  one.context->sink->summary("seconds", predictions.seconds, metric::unit_of("seconds"));
  // The training's validation curve goes along, for k-fold aggregates.
  const auto curves = one.context->inputs_of("checkpoint").front()->path / "curves.json";
  std::error_code none;
  std::filesystem::copy_file(curves, one.context->output / "curves.json", none);
}

/// Evaluations that share a pass.
void evaluate_pass(const std::vector<Evaluated>& all) {
  const schema::EvaluateStageOptions& options = *all.front().options;
  graph::StageContext& context = *all.front().context;
  ScoredSplit scored;
  scored.split = recipe::enum_name(options.eval.split);
  const Scoring with(options, scored.split, {}, context);
  const batches::InputSize size = batches::input_size(with.frontend_options, with.clips, with.rows);
  if (all.size() > 1)
    context.say(fmt::format("{} evaluations of {} in one pass over {} clips", all.size(),
                            names_of(with.models), with.rows.size()));
  scored.model = names_of(with.models);
  std::vector<Reduced> ways;
  for (const Evaluated& one : all) {
    ways.push_back(reducers_of(*one.options, with.models));
    const bool reduces = std::any_of(ways.back().begin(), ways.back().end(),
                                     [](const auto& reducers) { return !reducers.empty(); });
    one.options->each([&](std::string_view section, const auto& reducer) {
      if (reducer.any() && !reduces)
        one.context->say(
            fmt::format("[{}] reduces nothing: {} has no tokens", section, scored.model));
    });
  }
  const std::vector<Predictions> predictions =
      predict_each(load::pointers(with.models), ways, with.frontend, with.frontend_options,
                   with.clips, with.rows, with.how);
  scored.ids = ids_of(with.clips, with.rows);
  scored.classes = with.clips.class_list();
  for (size_t i = 0; i < all.size(); ++i)
    finish_evaluation(all[i], predictions[i], scored, with.models, ways[i].front(), size,
                      with.session);
}

}  // namespace

void run_evaluate(const schema::EvaluateStageOptions& options, graph::StageContext& context) {
  evaluate_pass({{&options, &context}});
}

void run_evaluate_many(std::span<const schema::EvaluateStageOptions* const> options,
                       std::span<graph::StageContext* const> contexts) {
  XP_CHECK(options.size() == contexts.size(), "an evaluation without its context");
  std::vector<std::pair<std::string, std::vector<Evaluated>>> passes;
  for (size_t i = 0; i < options.size(); ++i) {
    const std::string text = pass_of(*options[i]);
    auto pass = std::find_if(passes.begin(), passes.end(),
                             [&](const auto& known) { return known.first == text; });
    if (pass == passes.end()) pass = passes.insert(passes.end(), {text, {}});
    pass->second.push_back({options[i], contexts[i]});
  }
  for (const auto& [text, evaluations] : passes) evaluate_pass(evaluations);
}

void run_embed(const schema::EmbedStageOptions& options, graph::StageContext& context) {
  Scoring with(options, options.split, options.reductions(), context);
  with.how.embeddings = true;
  const Predictions predictions = with.predict(with.rows);
  ScoreFile file;
  file.dataset = "embeddings";
  file.ids = ids_of(with.clips, with.rows);
  file.width = predictions.embeddings.size(1);
  file.values = floats(predictions.embeddings);
  file.texts = {{"split", options.split}, {"model", names_of(with.models)}};
  write_scores(context.output / "embeddings.h5", file);
  context.sink->summary("rows", static_cast<double>(with.rows.size()), metric::unit_of("rows"));
}

void run_teach(const schema::TeachStageOptions& options, graph::StageContext& context) {
  Scoring with(options, options.split, options.reductions(), context);
  const std::vector<uint32_t>& rows = with.rows;

  ScoreFile file;
  file.ids = ids_of(with.clips, rows);
  for (const auto& [id, name] : with.clips.class_list()) {
    file.class_ids.push_back(id);
    file.class_names.push_back(name);
  }
  file.width = with.clips.classes();
  // In blocks that stay when the stage is stopped: a large set takes hours.
  constexpr size_t kBlock = 8192;
  for (size_t begin = 0; begin < rows.size(); begin += kBlock) {
    const std::vector<uint32_t> block(
        rows.begin() + static_cast<std::ptrdiff_t>(begin),
        rows.begin() + static_cast<std::ptrdiff_t>(std::min(rows.size(), begin + kBlock)));
    const auto part = context.output / fmt::format("part-{:06}.h5", begin / kBlock);
    ScoreFile scores;
    if (std::filesystem::exists(part)) {
      scores = read_scores(part);
    } else {
      with.how.progress = [&](int64_t done, int64_t) {
        context.progress("clips", static_cast<double>(begin) + static_cast<double>(done),
                         static_cast<double>(rows.size()));
      };
      const Predictions predictions = with.predict(block);
      scores.ids = ids_of(with.clips, block);
      scores.width = file.width;
      scores.values = floats(predictions.logits);
      scores.targets = floats(predictions.targets);
      scores.mask = floats(predictions.mask);
      write_scores(part, scores);
    }
    const auto append = [](std::vector<float>& all, const std::vector<float>& more) {
      all.insert(all.end(), more.begin(), more.end());
    };
    append(file.values, scores.values);
    append(file.targets, scores.targets);
    append(file.mask, scores.mask);
  }
  ScoredSplit scored;
  scored.ids = file.ids;
  scored.classes = with.clips.class_list();
  scored.logits = file.values;
  scored.targets = file.targets;
  scored.mask = file.mask;
  schema::EvalOptions eval;
  eval.metrics = {schema::Metric::k_mAP};
  const Evaluation evaluation = evaluate(scored, eval, 0);
  std::string keys;
  for (const graph::StageInput* input : context.inputs_of("checkpoint"))
    keys += (keys.empty() ? "" : " ") + input->key;
  file.texts = {
      {"split", options.split}, {"teacher", names_of(with.models)}, {"teacher_keys", keys}};
  file.numbers = evaluation.metrics;
  write_scores(context.output / "logits.h5", file);
  for (const auto& entry : std::filesystem::directory_iterator(context.output))
    if (entry.path().filename().string().starts_with("part-"))
      std::filesystem::remove(entry.path());
  context.sink->summary("rows", static_cast<double>(rows.size()), metric::unit_of("rows"));
  for (const auto& [leaf, value] : evaluation.metrics)
    context.sink->summary(leaf, value, metric::unit_of(leaf));
}

}  // namespace xp::evaluate
