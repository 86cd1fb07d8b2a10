#include "core/train/job.h"

#include <optional>
#include <string_view>

#include <nlohmann/json.hpp>

#include "core/graph/stage.h"
#include "core/recipe/options_io.h"
#include "core/schema/stage_options.h"

namespace xp::train {
namespace {

using nlohmann::json;

/// Each section of a stage's options as TOML under its name; the seed as a number.
template <class Options>
struct Writer {
  const Options& options;
  json& out;

  template <class M>
  void field(std::string_view name, M Options::*member, const recipe::Spec&, std::string_view) {
    out[std::string(name)] = options.*member;
  }
  template <class M>
  void part(std::string_view name, M Options::*member) {
    write(std::string(name), options.*member);
  }
  template <class P>
  void write(const std::string& name, const std::optional<P>& part) {
    if (part) write(name, *part);
  }
  template <class P>
  void write(const std::string& name, const P& part) {
    out[name] = recipe::to_text(part);
  }
};

template <class Options>
struct Reader {
  Options& options;
  const json& in;

  template <class M>
  void field(std::string_view name, M Options::*member, const recipe::Spec&, std::string_view) {
    options.*member = in.at(std::string(name)).get<M>();
  }
  template <class M>
  void part(std::string_view name, M Options::*member) {
    if (in.contains(std::string(name)))
      read(in.at(std::string(name)).get<std::string>(), options.*member);
  }
  template <class P>
  void read(const std::string& text, std::optional<P>& part) {
    part = recipe::from_text<P>(text);
  }
  template <class P>
  void read(const std::string& text, P& part) {
    part = recipe::from_text<P>(text);
  }
};

json context_json(const graph::StageContext& context) {
  json inputs = json::array();
  for (const graph::StageInput& input : context.inputs)
    inputs.push_back({{"role", input.role},
                      {"path", input.path.string()},
                      {"part", input.part},
                      {"stage", input.stage},
                      {"key", input.key}});
  return {{"name", context.name},
          {"key", context.key},
          {"inputs", inputs},
          {"output", context.output.string()},
          {"resumed", context.resumed},
          {"threads", context.resources.threads},
          {"workers", context.resources.workers},
          {"devices", context.resources.devices},
          {"micro_batch", context.resources.micro_batch},
          {"depth", static_cast<int>(context.depth)},
          {"overfit_clips", context.overfit_clips}};
}

void read_context(const json& object, graph::StageContext& context) {
  object.at("name").get_to(context.name);
  object.at("key").get_to(context.key);
  for (const json& item : object.at("inputs")) {
    graph::StageInput input;
    item.at("role").get_to(input.role);
    input.path = item.at("path").get<std::string>();
    item.at("part").get_to(input.part);
    item.at("stage").get_to(input.stage);
    item.at("key").get_to(input.key);
    context.inputs.push_back(std::move(input));
  }
  context.output = object.at("output").get<std::string>();
  object.at("resumed").get_to(context.resumed);
  object.at("threads").get_to(context.resources.threads);
  object.at("workers").get_to(context.resources.workers);
  object.at("devices").get_to(context.resources.devices);
  object.at("micro_batch").get_to(context.resources.micro_batch);
  context.depth = static_cast<graph::Depth>(object.at("depth").get<int>());
  object.at("overfit_clips").get_to(context.overfit_clips);
}

template <class Options>
dist::Job make_job(const char* kind, const Options& options, const graph::StageContext& context,
                   void (*rank)(const Options&, graph::StageContext&, const dist::Session&)) {
  json text{{"kind", kind}, {"context", context_json(context)}, {"options", json::object()}};
  Writer<Options> writer{options, text["options"]};
  Options::describe(writer);
  dist::Job job;
  job.text = text.dump();
  job.workers = options.train.workers;
  job.rank = [options, rank](graph::StageContext& its, const dist::Session& session) {
    rank(options, its, session);
  };
  return job;
}

template <class Options>
Options read_options(const json& text) {
  Options options;
  Reader<Options> reader{options, text};
  Options::describe(reader);
  return options;
}

}  // namespace

dist::Job job_of(const schema::TrainStageOptions& options, const graph::StageContext& context) {
  return make_job("train", options, context, train_rank);
}

dist::Job job_of(const schema::PretrainStageOptions& options, const graph::StageContext& context) {
  return make_job("pretrain", options, context, pretrain_rank);
}

dist::Job read_job(const std::string& text, graph::StageContext& context) {
  const json job = json::parse(text);
  read_context(job.at("context"), context);
  const json& options = job.at("options");
  if (job.at("kind") == "train")
    return job_of(read_options<schema::TrainStageOptions>(options), context);
  return job_of(read_options<schema::PretrainStageOptions>(options), context);
}

}  // namespace xp::train
