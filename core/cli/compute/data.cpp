// exp-compute data: finds the stage that is meant and goes to the part that was asked for.
#include <algorithm>
#include <memory>
#include <type_traits>
#include <utility>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/cli/compute/data_parts.h"
#include "core/graph/build.h"
#include "core/schema/stage_options.h"
#include "sweeps/command.h"

namespace xp::cli {
namespace {

/// The `prepare` node that a node reads; null when it reads no audio.
const graph::Node* prepare_of(const graph::Graph& graph, const graph::Node& node) {
  for (const graph::Edge& edge : node.inputs) {
    if (edge.node != graph::Edge::kUser && graph.nodes[edge.node].kind == "prepare")
      return &graph.nodes[edge.node];
  }
  return nullptr;
}

/// What a shell takes to prepare the data of the recipe as it was asked for.
std::string prepare_command(const run::RunArguments& asked) {
  std::string command = "exp run";
  const auto add = [&command](const std::string& word) {
    command += " " + sweeps::shell_quoted(word);
  };
  if (!asked.recipe.empty()) add(asked.recipe);
  for (const std::string& variant : asked.variants) {
    add("--variant");
    add(variant);
  }
  for (const std::string& set : asked.set) {
    add("--set");
    add(set);
  }
  return command + " --until prepare";
}

/// Fills in what the stage's own options say of data.
template <class Options>
void take(const graph::Node& node, ChosenData& out) {
  const auto& options = graph::options_of<Options>(node);
  if constexpr (requires { options.dataset; }) out.dataset = options.dataset;
  if constexpr (requires { options.frontend; }) out.frontend = options.frontend;
  if constexpr (requires { options.model; }) out.model = options.model;
  if constexpr (requires { options.augment; }) out.augment = options.augment;
  if constexpr (requires { options.sampler; }) out.sampler = options.sampler;
  if constexpr (requires { options.seed; }) out.seed = static_cast<uint64_t>(options.seed);
  if constexpr (requires { options.train; }) {
    out.batch_size = options.train.batch_size;
    out.loss = options.train.loss;
  }
  if constexpr (requires { options.loss; }) out.loss = options.loss;
}

void take_options(const graph::Node& node, ChosenData& out) {
#define XP_STAGE(kind_name, Options, version, resumes, inputs, outputs, sections, help) \
  if (node.kind == #kind_name) take<schema::Options>(node, out);
#include "core/graph/stages.inc"
#undef XP_STAGE
}

const graph::Node& reader_node(const graph::Graph& graph, const std::string& name) {
  if (!name.empty()) {
    const graph::Node& node = graph.nodes[graph::find_nodes(graph, name).front()];
    if (prepare_of(graph, node) == nullptr)
      throw Error(fmt::format("stage '{}' reads no audio", name));
    return node;
  }
  const graph::Node* first = nullptr;
  for (const graph::Node& node : graph.nodes) {
    if (prepare_of(graph, node) == nullptr) continue;
    if (node.kind == "train" || node.kind == "pretrain") return node;
    if (first == nullptr) first = &node;
  }
  if (first == nullptr) throw Error("no stage of this recipe reads audio");
  return *first;
}

}  // namespace

std::shared_ptr<const data::ShardReader> ChosenData::open() const {
  if (prepared.empty()) {
    throw Error(fmt::format("the data of stage '{}' is not prepared yet; do it with: {}", stage,
                            how_to_prepare),
                Exit::kData);
  }
  return std::make_shared<const data::ShardReader>(prepared);
}

ChosenData choose_data(const DataArguments& arguments, const Session& session) {
  run::RunArguments asked = arguments.recipe;
  asked.put_off = true;  // what was never read is not prepared either
  const run::PlannedRun planned = run::plan_run(asked, session.workspace());
  const graph::Graph& graph = planned.plan.graph;
  const graph::Node& node = reader_node(graph, arguments.stage);
  const graph::Node& prepare = *prepare_of(graph, node);
  ChosenData out;
  out.workspace = planned.workspace;
  out.stage = node.name;
  out.how_to_prepare = prepare_command(arguments.recipe);
  if (planned.cache.find("prepare", prepare.key)) {
    out.prepared = planned.cache.folder("prepare", prepare.key);
    if (auto in_use = planned.cache.use("prepare", prepare.key))
      out.in_use = std::make_shared<const FileLock>(std::move(*in_use));
  }
  take_options(node, out);
  return out;
}

int compute_data(Command& command, Session& session) {
  const DataArguments& arguments = asked_of<DataArguments>(command);
  if (arguments.part == "stats") return data_stats(arguments, session);
  if (arguments.part == "verify") return data_verify(arguments, session);
  if (arguments.part == "show") return data_show(arguments, session);
  if (arguments.part == "convert") return data_convert(arguments, session);
  XP_CHECK(arguments.part == "missing", "unknown part of exp data");
  return data_missing(arguments, session);
}

}  // namespace xp::cli
