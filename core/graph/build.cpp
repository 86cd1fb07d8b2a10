#include "core/graph/build.h"

#include <algorithm>
#include <map>
#include <set>
#include <type_traits>
#include <utility>

#include <fmt/format.h>

#include "core/base/digest.h"
#include "core/base/files.h"
#include "core/graph/given_output.h"
#include "core/graph/input_scan.h"
#include "core/graph/listed_files.h"
#include "core/recipe/options_io.h"
#include "core/recipe/recipe.h"
#include "core/schema/sound_files.h"
#include "core/schema/stage_options.h"
#include "core/schema/weights_sources.h"

namespace xp::graph {
namespace fs = std::filesystem;

MissingInput::MissingInput(Place place, std::string key, fs::path path, std::string dataset)
    : Error(std::move(place), fmt::format("{}: {} is not there", key, path.string()), Exit::kData),
      key_(std::move(key)),
      missing_(std::move(path)),
      dataset_(std::move(dataset)) {}

namespace {

// A stage's options, built, and what the graph has to know of them.
struct Built {
  std::shared_ptr<const void> options;
  std::string text;
  std::vector<recipe::InputUse> uses;
  std::shared_ptr<const schema::PrepareOptions> shards;  // that it reads; null for none
  std::string dataset;                                   // dataset.name; "" without
  // Of the data set and those joined to it: "dataset.", "dataset.also.0.", .. and the name.
  std::vector<std::pair<std::string, schema::DatasetName>> sets;
};

void resolve_precision(schema::Precision& precision, const Target& target) {
  if (precision != schema::Precision::kAuto) return;
  precision = schema::Precision::kFp32;
  if (target.gpu) {
    precision = schema::Precision::kFp16;  // the originals'
  } else if (target.bf16_units) {
    precision = schema::Precision::kBf16;
  }
}

template <class Options>
Built describe(std::shared_ptr<Options> options) {
  Built out;
  out.text = recipe::canonical_text(*options);
  out.uses = recipe::inputs_of(*options);
  if constexpr (requires { options->dataset; }) {
    out.dataset = recipe::enum_name(options->dataset.name);
    out.sets.emplace_back("dataset.", options->dataset.name);
    for (size_t i = 0; i < options->dataset.also.size(); ++i)
      out.sets.emplace_back(fmt::format("dataset.also.{}.", i), options->dataset.also[i].name);
    if constexpr (!std::is_same_v<Options, schema::PrepareOptions>) {
      out.shards = std::make_shared<const schema::PrepareOptions>(
          schema::PrepareOptions::for_reader(options->dataset, options->frontend));
    }
  }
  out.options = std::move(options);
  return out;
}

template <class Options>
Built build(const recipe::View& view, const Target& target) {
  auto options = std::make_shared<Options>(Options::configure(view));
  if constexpr (requires { options->train.precision; })
    resolve_precision(options->train.precision, target);
  if constexpr (requires { options->eval.precision; })
    resolve_precision(options->eval.precision, target);
  return describe(std::move(options));
}

Built build_kind(StageKind kind, const recipe::View& view, const Target& target) {
  switch (kind) {
#define XP_STAGE(kind, Options, version, resumes, inputs, outputs, sections, help) \
  case StageKind::k_##kind:                                                        \
    return build<schema::Options>(view, target);
#include "core/graph/stages.inc"
#undef XP_STAGE
  }
  XP_CHECK(false, "a stage kind that is not in the table");
  return {};
}

// "checkpoint", "logits", "stats", ...: what the run half asks for.
std::string role_of(const std::string& key) {
  static const std::map<std::string, std::string> roles = {
      {"frontend.norm", "stats"},   {"kd.logits", "logits"},   {"kd.index", "index"},
      {"model.weights", "weights"}, {"augment.ir_root", "ir"}, {"train.start_from", "start_from"},
  };
  const auto found = roles.find(key);
  return found == roles.end() ? key : found->second;
}

// Of the folder of a data set: which one.
const schema::DatasetName* set_of_root(const std::string& key, const Built& built) {
  for (const auto& [prefix, name] : built.sets) {
    if (key == prefix + "root") return &name;
  }
  return nullptr;
}

// Which files of a folder that the recipe names count; null: all.
std::shared_ptr<const Counted> counted_of(const std::string& key, const Built& built) {
  if (const schema::DatasetName* set = set_of_root(key, built)) {
    return std::make_shared<const Counted>(
        Counted{std::string(recipe::enum_name(*set)),
                [set = *set](std::string_view file) { return schema::counts_in(set, file); }});
  }
  if (role_of(key) != "ir") return nullptr;
  return std::make_shared<const Counted>(Counted{"sounds", [](std::string_view file) {
                                                   return schema::kind_of_file(file) ==
                                                          schema::FileKind::kSound;
                                                 }});
}

bool is_list_file(const std::string& key) {
  return key.starts_with("dataset.") && key.find(".json_") != std::string::npos;
}

// The folder that relative paths of a list are in: the root of the same set, else the list's own
// folder.
fs::path folder_of_list(const recipe::InputUse& use, const std::vector<recipe::InputUse>& uses) {
  const std::string root = use.key.substr(0, use.key.rfind('.')) + ".root";
  for (const recipe::InputUse& other : uses) {
    if (other.key == root) return other.text;
  }
  return fs::path(use.text).parent_path();
}

class Builder {
 public:
  Builder(const recipe::Recipe& recipe, const Target& target, InputDigests& inputs,
          const InputDigests::Progress& progress, std::vector<std::string>& notes)
      : recipe_(recipe), target_(target), inputs_(inputs), progress_(progress), notes_(notes) {}

  Graph build_all() {
    // A written prepare stage is the one that readers of the same set and rate use.
    for (const bool prepares : {true, false}) {
      for (const recipe::Stage& stage : recipe_.stages()) {
        if ((stage.kind == "prepare") != prepares) continue;
        for (const recipe::Instance& instance : stage.instances) visit(stage, instance);
      }
    }
    for (const std::string& goal : recipe_.goals()) {
      for (const recipe::Instance& instance : recipe_.find_stage(goal)->instances) {
        graph_.goals.push_back(place_.at(&instance));
      }
    }
    name_prepares();
    return std::move(graph_);
  }

 private:
  size_t visit(const recipe::Stage& stage, const recipe::Instance& instance) {
    if (const auto found = place_.find(&instance); found != place_.end()) return found->second;
    const StageKindInfo* info = find_stage_kind(stage.kind);
    XP_CHECK(info != nullptr,
             "the recipe knows a stage kind that the graph does not: " + stage.kind);
    Built built = build_kind(info->kind, instance.view, target_);
    Node node;
    node.stage = stage.name;
    node.name = instance_name(stage, instance);
    for (const auto& [key, value] : instance.each) {
      if (const auto* whole = value.get<int64_t>())
        node.each.push_back(static_cast<double>(*whole));
      if (const auto* real = value.get<double>()) node.each.push_back(*real);
    }
    if (built.shards) node.inputs.push_back(shards_edge(*built.shards));
    for (const recipe::InputUse& use : built.uses) {
      // What a set is made of is in the key of its shards.
      if (built.shards && use.key.starts_with("dataset.")) continue;
      add_edges(node, use, built, instance);
    }
    const std::string id = info->kind == StageKind::k_prepare ? shards_id(built) : "";
    const size_t place = add(std::move(node), *info, std::move(built));
    place_[&instance] = place;
    if (!id.empty() && prepares_.emplace(id, place).second) written_.insert(place);
    return place;
  }

  static std::string instance_name(const recipe::Stage& stage, const recipe::Instance& instance) {
    std::string out = stage.name;
    for (size_t i = 0; i < instance.each.size(); ++i) {
      const recipe::Value& value = instance.each[i].second;
      const auto* text = value.get<std::string>();
      out += (i == 0 ? "@" : ",") + (text != nullptr ? *text : recipe::to_toml(value));
    }
    return out;
  }

  size_t add(Node node, const StageKindInfo& info, Built built) {
    node.kind = info.name;
    node.version = info.version;
    node.resume = info.resume;
    node.options = std::move(built.text);
    node.built = std::move(built.options);
    node.provisional = is_provisional(graph_, node);
    node.key = stage_key(node.kind, node.version, node.options, input_records(graph_, node));
    graph_.nodes.push_back(std::move(node));
    return graph_.nodes.size() - 1;
  }

  // One `prepare` for each set and rate, however many stages read it.
  Edge shards_edge(const schema::PrepareOptions& shards) {
    Built built = describe(std::make_shared<schema::PrepareOptions>(shards));
    const std::string id = shards_id(built);
    Edge edge;
    edge.role = "data";
    const auto [found, is_new] = prepares_.emplace(id, graph_.nodes.size());
    if (is_new) {
      Node node;
      for (const recipe::InputUse& use : built.uses) add_file(node, use, built);
      const std::string rate = std::to_string(shards.rate_hz);
      node.stage = "prepare";
      node.name = "prepare@" + built.dataset + "," + rate;
      found->second = add(std::move(node), stage_kind(StageKind::k_prepare), std::move(built));
    }
    edge.node = found->second;
    return edge;
  }

  static std::string shards_id(const Built& built) {
    std::string out = built.text;
    for (const recipe::InputUse& use : built.uses) out += use.key + "\n" + use.text + "\n";
    return out;
  }

  void add_edges(Node& node, const recipe::InputUse& use, const Built& built,
                 const recipe::Instance& from) {
    if (use.path) add_file(node, use, built);
    if (!use.path && !use.reference) add_published(node, use);
    if (!use.reference) return;
    const recipe::Stage* stage = recipe_.find_stage(use.reference->stage);
    for (const recipe::Instance* instance : recipe_.resolve(*use.reference, from)) {
      Edge edge;
      edge.role = role_of(use.key);
      edge.part = use.reference->attribute;
      edge.node = visit(*stage, *instance);
      node.inputs.push_back(std::move(edge));
    }
  }

  void add_file(Node& node, const recipe::InputUse& use, const Built& built) {
    if (!use.path) return;
    const schema::DatasetName* set = set_of_root(use.key, built);
    if (set != nullptr && *set == schema::DatasetName::kJson) {
      // Where relative paths of the lists begin: what the lists name counts, nothing beside it.
      if (!fs::exists(use.text))
        throw MissingInput(place_of(use.key), use.key, use.text, built.dataset);
      return;
    }
    Edge edge;
    edge.role = role_of(use.key);
    edge.path = use.text;
    edge.counted = counted_of(use.key, built);
    set_digest(edge, digest_of(use, built, edge.counted.get()));
    node.inputs.push_back(edge);
    if (!is_list_file(use.key) || !fs::exists(edge.path)) return;
    Edge listed = edge;
    listed.role += ".files";
    const fs::path folder = folder_of_list(use, built.uses);
    // All that the listed paths follow from; "~" in a list is the user's.
    const std::string source = sha256(edge.digest + folder.string() + expand_user("~").string());
    set_digest(listed, inputs_.list(
                           edge.path, source, [&] { return listed_files(edge.path, folder); },
                           progress_, put_off(built)));
    node.inputs.push_back(std::move(listed));
  }

  static void set_digest(Edge& edge, const InputDigest& digest) {
    edge.digest = digest.digest;
    edge.unread = digest.unread;
    edge.unread_bytes = digest.unread_bytes;
  }

  // Null where contents are needed now. Rows of a container are decoded one by one: nobody but its
  // digest reads it whole.
  const PutOff* put_off(const Built& prepare) {
    if (target_.cache == nullptr || prepare.dataset == "passt_hdf5") return nullptr;
    const auto [at, fresh] = put_off_.try_emplace(prepare.text);
    PutOff& out = at->second;
    if (!fresh) return &out;
    out.above_bytes = target_.most_unread_bytes;
    for (const Manifest& made : target_.cache->all("prepare")) {
      if (made.options != prepare.text) continue;
      for (const InputRecord& input : made.inputs) {
        if (input.role.ends_with(".root")) out.trees.emplace_back(input.path, input.key);
        if (input.role.ends_with(".files")) out.lists.emplace_back(input.path, input.key);
      }
    }
    return &out;
  }

  // Published weights are known by their name, here or not: a plan needs no download, and `exp
  // fetch` answers for the content.
  void add_published(Node& node, const recipe::InputUse& use) {
    const schema::WeightsSource* source = schema::find_weights_source(use.text);
    const std::string role = role_of(use.key);
    if (source == nullptr || (role != "weights" && role != "checkpoint")) return;
    Edge edge;
    edge.role = role;
    edge.path = schema::weights_file(*source);
    edge.digest = sha256("published weights " + use.text);
    node.inputs.push_back(edge);
    if (!fs::exists(edge.path) && missing_.insert(use.text).second) {
      notes_.push_back(
          fmt::format("weights {} are not here yet: `exp fetch {}`", use.text, use.text));
    }
  }

  InputDigest digest_of(const recipe::InputUse& use, const Built& built, const Counted* counted) {
    const fs::path path = use.text;
    const std::string known_by = path.string() + (counted == nullptr ? "" : '\n' + counted->name);
    const auto known = digests_.find(known_by);
    if (known != digests_.end()) return known->second;
    InputDigest digest;
    std::error_code error;
    const bool of_dataset = use.key.starts_with("dataset.");
    const bool sounds = of_dataset && use.key.ends_with(".root");
    if (fs::exists(path, error)) {
      digest = inputs_.tree(path, progress_, sounds ? put_off(built) : nullptr, counted);
      if (!of_dataset) check_given_output(path, inputs_);
    } else if (of_dataset && !(digest.digest = inputs_.last_known(path, counted)).empty()) {
      notes_.push_back(
          fmt::format("{}: {} is not there any more; stages are looked up by its last content",
                      use.key, path.string()));
    } else {
      throw MissingInput(place_of(use.key), use.key, path, of_dataset ? built.dataset : "");
    }
    digests_[known_by] = digest;
    return digest;
  }

  // Where the recipe set the key; nowhere for a key of a stage.
  Place place_of(const std::string& key) const {
    try {
      const std::vector<recipe::Setting> settings = recipe_.explain(key);
      if (!settings.empty()) return settings.back().place;
    } catch (const Error&) {
      // a key of a stage or of a further set: the message names it, that must do
    }
    return {};
  }

  // "prepare" where there is one, "prepare@32000" where the rate says it all.
  void name_prepares() {
    std::set<std::string> taken;
    for (const recipe::Stage& stage : recipe_.stages()) taken.insert(stage.name);
    std::vector<size_t> added;
    for (const auto& [id, place] : prepares_) {
      if (written_.count(place) == 0) added.push_back(place);
    }
    std::sort(added.begin(), added.end());
    std::map<std::string, int> rates, used;
    for (const size_t place : added) ++rates[rate_part(graph_.nodes[place].name)];
    for (const size_t place : added) {
      Node& node = graph_.nodes[place];
      const std::string rate = rate_part(node.name);
      if (rates[rate] == 1) node.name = added.size() == 1 ? "prepare" : "prepare@" + rate;
      if (taken.count(node.name) != 0) node.name += "@" + rate;
      if (const int again = used[node.name]++; again > 0)
        node.name += fmt::format(",{}", again + 1);
    }
  }

  static std::string rate_part(const std::string& name) { return name.substr(name.rfind(',') + 1); }

  const recipe::Recipe& recipe_;
  const Target& target_;
  InputDigests& inputs_;
  const InputDigests::Progress& progress_;
  std::set<std::string> missing_;  // published weights that a note was made of
  std::vector<std::string>& notes_;
  Graph graph_;
  std::map<const recipe::Instance*, size_t> place_;
  std::map<std::string, size_t> prepares_;
  std::set<size_t> written_;  // prepare stages that stand in the recipe
  std::map<std::string, InputDigest> digests_;
  std::map<std::string, PutOff> put_off_;  // by the options of a prepare
};

}  // namespace

Graph build_graph(const recipe::Recipe& recipe, const Target& target, InputDigests& inputs,
                  const InputDigests::Progress& progress, std::vector<std::string>& notes) {
  return Builder(recipe, target, inputs, progress, notes).build_all();
}

}  // namespace xp::graph
