// exp-compute evaluate: scores a checkpoint on prepared data, outside of a run.
#include "core/cli/evaluate.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <vector>

#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/cpu.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/base/stop.h"
#include "core/cli/command.h"
#include "core/cli/compute/data_parts.h"
#include "core/evaluate/evaluation.h"
#include "core/evaluate/run.h"
#include "core/graph/given_output.h"
#include "core/graph/stage.h"
#include "core/load/weights_file.h"
#include "core/metric/metrics.h"
#include "core/schema/geometry.h"
#include "core/schema/stage_options.h"
#include "core/train/replay.h"
#include "core/train/run.h"
#include "tracker/run_sink.h"

namespace xp::cli {
namespace {

namespace fs = std::filesystem;
using Metrics = std::map<std::string, double>;

/// A folder that is removed at the end of its scope.
class Scratch {
 public:
  Scratch() : path_(fs::temp_directory_path() / fmt::format("exp-evaluate-{}", getpid())) {
    fs::create_directories(path_);
  }
  ~Scratch() {
    std::error_code none;
    fs::remove_all(path_, none);
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

graph::StageInput input(const char* role, const fs::path& path, const char* part) {
  graph::StageInput made;
  made.role = role;
  made.path = path;
  made.part = part;
  return made;
}

Metrics score(const EvaluateArguments& arguments, const ChosenData& chosen, int64_t r,
              const fs::path& folder) {
  tracker::MemorySink sink;
  graph::StageContext context;
  context.name = "evaluate";
  context.output = folder;
  context.sink = &sink;
  context.say = [](std::string_view line) { log::info("{}", line); };
  context.inputs = {input("data", chosen.prepared, "output"),
                    input("checkpoint", arguments.checkpoint, "last")};
  context.resources.threads = arguments.threads > 0 ? arguments.threads : usable_cores();
  if (!arguments.device.empty()) context.resources.devices = {arguments.device};
  context.stop_requested = [] { return stop_requested(); };
  schema::EvaluateStageOptions options;
  options.dataset = chosen.dataset;
  options.frontend = chosen.frontend;
  options.model = chosen.model;
  options.loss = chosen.loss;
  options.eval.split = *recipe::parse_enum<schema::Split>(arguments.split);
  options.eval.metrics = {schema::Metric::kPerClass};
  for (const metric::Metric& line : metric::table())
    if (const auto asked = recipe::parse_enum<schema::Metric>(line.name))
      options.eval.metrics.push_back(*asked);
  options.eval.batch_size = arguments.batch;
  options.eval.save_predictions = !arguments.out.empty();
  options.eval.precision = *recipe::parse_enum<schema::Precision>(arguments.precision);
  if (r > 0) {
    options.tome.emplace();
    options.tome->r.value = r;
  }
  evaluate::run_evaluate(options, context);
  return evaluate::read_metrics(folder);
}

}  // namespace

int compute_evaluate(Command& command, Session& session) {
  const EvaluateArguments& arguments = asked_of<EvaluateArguments>(command);
  if (!arguments.replay.empty()) {
    for (const std::string& line : train::replay(arguments.replay)) fmt::print("{}\n", line);
    return 0;
  }
  ChosenData chosen = choose_data(arguments.data, session);
  chosen.open();  // says how to prepare it where that was not done
  const fs::path weights = load::weights_path(arguments.checkpoint, "last");
  const auto in_use = graph::hold_output(weights);
  const std::vector<int64_t> values =
      arguments.tome.empty() ? std::vector<int64_t>{0} : arguments.tome;
  // What says its own model and front end: exp's checkpoints, and transformers' folders.
  if (weights.extension() == ".safetensors" || fs::exists(weights.parent_path() / "config.json")) {
    if (const auto carried = load::read_carried(weights)) {
      chosen.frontend = carried->frontend;
      if (*std::max_element(values.begin(), values.end()) > 0)
        schema::require_tokens(carried->model, "--tome");
    }
  }
  nlohmann::json all = nlohmann::json::array();
  for (const int64_t r : values) {
    const Scratch scratch;
    fs::path folder = scratch.path();
    if (!arguments.out.empty()) {
      folder = values.size() > 1 ? fs::path(arguments.out) / fmt::format("r{}", r)
                                 : fs::path(arguments.out);
      fs::create_directories(folder);
    }
    const Metrics metrics = score(arguments, chosen, r, folder);
    if (session.json) {
      all.push_back({{"tome.r", r}, {"metrics", metrics}});
      continue;
    }
    std::string line = fmt::format("{} r={}", arguments.split, r);
    for (const metric::Metric& known : metric::table()) {
      if ((known.of & metric::Of::kScores) == 0 || (known.shown & metric::Shown::kAtEnd) == 0)
        continue;
      for (const char* ending : {"", "_lo", "_hi"})
        if (const auto found = metrics.find(fmt::format("{}{}", known.name, ending));
            found != metrics.end())
          line += fmt::format("  {} {:.4f}", found->first, found->second);
    }
    fmt::print("{}\n", line);
  }
  if (session.json) fmt::print("{}\n", all.dump(1));
  return 0;
}

}  // namespace xp::cli
