#include "core/run/run_record.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <sstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/base/progress.h"
#include "core/graph/cache_users.h"
#include "core/graph/given_output.h"
#include "core/graph/uses.h"
#include "core/recipe/section_of.h"
#include "core/schema/reductions.h"
#include "core/schema/sections.h"
#include "tracker/provenance.h"

namespace xp::run {
namespace {

nlohmann::json to_json(const recipe::Value& value) {
  if (const auto* array = value.get<recipe::Array>()) {
    nlohmann::json out = nlohmann::json::array();
    for (const recipe::Value& item : *array) out.push_back(to_json(item));
    return out;
  }
  if (const auto* table = value.get<recipe::Table>()) {
    nlohmann::json out = nlohmann::json::object();
    for (const auto& [key, item] : *table) out[key] = to_json(item);
    return out;
  }
  if (const auto* text = value.get<std::string>()) return *text;
  if (const auto* number = value.get<int64_t>()) return *number;
  if (const auto* real = value.get<double>()) return *real;
  return *value.get<bool>();
}

tracker::Value to_value(const recipe::Value& value) {
  if (const auto* text = value.get<std::string>()) return *text;
  if (const auto* number = value.get<int64_t>()) return *number;
  if (const auto* real = value.get<double>()) return *real;
  if (const auto* flag = value.get<bool>()) return *flag;
  return tracker::Json{
      to_json(value).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)};
}

// Every key of a view with its value, defaults included.
std::map<std::string, recipe::Value> resolved_keys(const recipe::View& view,
                                                   const std::set<std::string>& sections) {
  std::map<std::string, recipe::Value> out;
  const auto add = [&](const auto& options) {
    const std::string section(std::decay_t<decltype(options)>::kSection);
    if (sections.count(section) == 0) return;
    for (auto& [key, value] : recipe::section_of(options)) out[section + "." + key] = value;
  };
  add(view.build<schema::ExperimentOptions>());
  add(view.build<schema::DatasetOptions>());
  add(view.build<schema::FrontendOptions>());
  add(view.build<schema::AugmentOptions>());
  add(view.build<schema::SamplerOptions>());
  add(view.build<schema::ModelOptions>());
#define XP_REDUCER(section, Options) add(view.build<schema::Options>());
#include "core/schema/reducers.inc"
#undef XP_REDUCER
  add(view.build<schema::PatchoutOptions>());
  add(view.build<schema::KdOptions>());
  add(view.build<schema::PretrainOptions>());
  add(view.build<schema::TrainOptions>());
  add(view.build<schema::OptimiserOptions>());
  add(view.build<schema::ScheduleOptions>());
  add(view.build<schema::AveragingOptions>());
  add(view.build<schema::EvalOptions>());
  return out;
}

// Sections that a kind of stage reads, by the table of kinds.
std::set<std::string> sections_of(const recipe::Stage& stage) {
  std::set<std::string> out;
  const graph::StageKindInfo* info = graph::find_stage_kind(stage.kind);
  std::istringstream words(info == nullptr ? "" : info->sections);
  for (std::string word; words >> word;) {
    if (word == "reducers")
      for (const std::string_view section : schema::reducer_sections()) out.emplace(section);
    else
      out.insert(word.substr(0, word.find('.')));
  }
  return out;
}

std::string source_of(const recipe::Recipe& recipe, const std::string& key) {
  try {
    const std::vector<recipe::Setting> settings = recipe.explain(key);
    for (auto it = settings.rbegin(); it != settings.rend(); ++it) {
      // A stage's `with` is told under its own key.
      const bool of_stage = it->layer.starts_with("stages.") && !key.starts_with("stages.");
      if (it->dropped || of_stage) continue;
      if (it->place.file.empty()) return it->layer;
      return it->place.line == 0
                 ? it->place.file
                 : fmt::format("{}:{}:{}", it->place.file, it->place.line, it->place.column);
    }
  } catch (const Error&) {
    // a key that a stage computes: no layer set it
  }
  return "default";
}

std::vector<tracker::Param> params_of(const recipe::Recipe& recipe) {
  std::set<std::string> sections;
  for (const recipe::Stage& stage : recipe.stages()) sections.merge(sections_of(stage));
  const auto base = resolved_keys(recipe.base(), sections);
  std::vector<tracker::Param> out;
  for (const auto& [key, value] : base)
    out.push_back({key, to_value(value), source_of(recipe, key)});
  for (const recipe::Stage& stage : recipe.stages()) {
    for (const auto& [key, value] :
         resolved_keys(stage.instances.front().view, sections_of(stage))) {
      const auto common = base.find(key);
      if (common != base.end() && common->second == value) continue;
      const std::string pinned = fmt::format("stages.{}.with.{}", stage.name, key);
      out.push_back({pinned, to_value(value), source_of(recipe, pinned)});
    }
  }
  return out;
}

}  // namespace

void check_source_is_clean(const recipe::Recipe& recipe) {
  if (!recipe.base().build<schema::ExperimentOptions>().require_clean) return;
  const std::filesystem::path folder = std::filesystem::current_path();
  const tracker::SourceState source = tracker::source_state(folder);
  if (!source.root.empty() && !source.dirty()) return;
  throw Error(fmt::format(
      "experiment.require_clean: {}; commit first, or set experiment.require_clean = false",
      source.root.empty() ? fmt::format("{} is not under git", folder.string())
                          : fmt::format("{} has uncommitted changes (`git status` lists them)",
                                        source.root.string())));
}

tracker::NewRun new_run(const PlannedRun& planned, std::vector<std::string> argv) {
  const recipe::Recipe& recipe = planned.recipe;
  check_source_is_clean(recipe);
  const auto experiment = recipe.base().build<schema::ExperimentOptions>();
  tracker::NewRun out;
  out.name = recipe.name();
  out.recipe_path = recipe.path().string();
  out.recipe_hash = recipe.hash();
  out.recipe_toml = recipe.show();
  out.params = params_of(recipe);
  out.tags = experiment.tags;
  out.notes = experiment.notes;
  out.argv = std::move(argv);
  return out;
}

void note_threads(tracker::Run& run, const Workspace& workspace) {
  const int of_stage = workspace.resources.threads / std::max(1, workspace.stages_at_once);
  run.note_fact("run.threads", std::to_string(std::max(1, of_stage)));
}

void note_uses(const graph::Graph& graph, const tracker::Run& run, const graph::Cache& cache) {
  const auto warn = [&run](const char* why) {
    log::warn("{}; `exp gc` may take outputs away that run {} uses", why, run.uid());
  };
  try {
    graph::record_uses(graph, run.folder(), cache);
  } catch (const Error& error) {
    warn(error.what());
  } catch (const std::filesystem::filesystem_error& error) {
    warn(error.what());
  }
}

void mark_cache(const PlannedRun& planned) {
  try {
    const FileLock lock = graph::lock_cache(planned.cache);
    graph::mark_cache(planned.cache, planned.workspace.exp_folder());
  } catch (const Error& error) {
    log::debug("{}", error.what());
  }
}

void attach_output(tracker::Run& run, const std::string& name, const graph::Node& node,
                   const std::filesystem::path& folder) {
  const auto manifest = graph::manifest_beside(folder);
  run.attach_stage(name, node.kind, node.key, folder,
                   manifest ? manifest->metrics : std::map<std::string, double>());
}

// One stage's progress line.
struct RunRecorder::Bar {
  std::unique_ptr<Progress> progress;
  std::string label;
  int64_t shown = 0;
};

RunRecorder::RunRecorder(tracker::Run* run) : run_(run) {}
RunRecorder::~RunRecorder() = default;

std::unique_ptr<tracker::RunSink> RunRecorder::begin(const graph::Node& node,
                                                     const std::filesystem::path& folder) {
  if (run_ == nullptr) return std::make_unique<tracker::MemorySink>();
  return run_->begin_stage(node.name, node.kind, node.key, folder);
}

void RunRecorder::publish(const graph::Node& node, const std::filesystem::path& folder) {
  end_bar(node);
  if (run_ != nullptr) run_->publish_stage(node.name, folder);
}

void RunRecorder::attach(const graph::Node& node, const std::filesystem::path& folder,
                         bool made_now) {
  end_bar(node);
  log::info("{}: {}", node.name, made_now ? "done" : "cached");
  if (run_ != nullptr) attach_output(*run_, node.name, node, folder);
}

void RunRecorder::end_bar(const graph::Node& node) {
  const std::lock_guard lock(mutex_);
  bars_.erase(node.name);
}

void RunRecorder::say(const graph::Node& node, std::string_view line) {
  log::info("{}: {}", node.name, line);
  if (run_ != nullptr) run_->event(tracker::Level::kInfo, fmt::format("{}: {}", node.name, line));
}

// "epoch 3/10, loss 0.31": what stands before the comma names the line, the rest is a note that may
// change with every call. Another name, or less than was done before, begins a new line.
void RunRecorder::progress(const graph::Node& node, std::string_view what, double done,
                           double total) {
  const std::lock_guard lock(mutex_);
  const size_t comma = std::min(what.find(','), what.size());
  const std::string label(what.substr(0, comma));
  std::unique_ptr<Bar>& bar = bars_[node.name];
  const auto now = static_cast<int64_t>(done);
  if (!bar || bar->label != label || now < bar->shown) {
    bar = nullptr;  // ends its line before the next begins
    bar = std::make_unique<Bar>();
    bar->label = label;
    bar->progress = std::make_unique<Progress>(fmt::format("{}: {}", node.name, label),
                                               static_cast<int64_t>(std::llround(total)), "");
    bar->progress->start_from(now);
  } else {
    bar->progress->add(now - bar->shown);
  }
  bar->shown = now;
  const size_t note = what.find_first_not_of(", ", comma);
  if (note != std::string_view::npos) bar->progress->note(std::string(what.substr(note)));
}

}  // namespace xp::run
