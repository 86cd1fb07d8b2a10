// exp-compute bench: speed of a model on this machine.
#include "core/evaluate/bench.h"

#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/cpu.h"
#include "core/base/error.h"
#include "core/base/stop.h"
#include "core/cli/bench.h"
#include "core/cli/command.h"
#include "core/dist/device.h"
#include "core/load/weights_file.h"
#include "core/model/registry.h"
#include "core/recipe/options.h"
#include "core/schema/geometry.h"
#include "core/schema/model.h"
#include "core/schema/reductions.h"

namespace xp::cli {
namespace {

/// The model that is meant, with weights as they are made: speed does not depend on them.
load::Carried described(const BenchArguments& arguments) {
  if (schema::find_arch(arguments.model)) {
    load::Carried made;
    const schema::Arch arch = *schema::find_arch(arguments.model);
    made.model = schema::ModelOptions::of_kind(arch.family);
    made.model.arch = arguments.model;
    made.geometry = {128, arguments.frames};
    made.classes.resize(static_cast<size_t>(arguments.classes));
    return made;
  }
  const auto carried = load::read_carried(load::weights_path(arguments.model, "last"));
  if (!carried)
    throw Error(
        fmt::format("{} was not written by exp; bench its architecture instead", arguments.model),
        Exit::kData);
  return *carried;
}

}  // namespace

int compute_bench(Command& command, Session& session) {
  const BenchArguments& arguments = asked_of<BenchArguments>(command);
  const at::Device device = dist::find_device(arguments.device);
  dist::prepare_device(device, arguments.threads > 0 ? arguments.threads : usable_cores());
  const load::Carried what = described(arguments);
  const auto model = model::make_model({.options = what.model,
                                        .geometry = what.geometry,
                                        .classes = static_cast<int64_t>(what.classes.size())});
  model->to(device);
  model->require_grad(false);
  const std::vector<int64_t> values =
      arguments.tome.empty() ? std::vector<int64_t>{0} : arguments.tome;
  nlohmann::json all = nlohmann::json::array();
  double first = 0;
  if (!session.json)
    fmt::print("{} on {}, batch {}, {}\n{:>4} {:>10} {:>8} {:>9} {:>9} {:>9} {:>8}\n",
               what.model.arch, device.is_cpu() ? cpu_name() : device.str(),
               arguments.batch > 0 ? arguments.batch : 32, arguments.precision, "r", "clips/s",
               "speed-up", "p50 ms", "p95 ms", "GFLOP", "MiB");
  for (const int64_t r : values) {
    schema::Reductions reductions;
    reductions.tome.emplace().r.value = r;
    if (reductions.any()) schema::require_tokens(what.model, "--tome");
    const model::Reducers reducers = model::make_reducers(reductions, model->depth());
    evaluate::BenchOptions how;
    how.batch = arguments.batch > 0 ? arguments.batch : 32;
    how.reps = arguments.reps;
    how.precision = *recipe::parse_enum<schema::Precision>(arguments.precision);
    how.reducers = &reducers;
    how.check = [] { throw_if_stopped(); };
    const auto result = evaluate::bench(*model, {what.geometry.F, what.geometry.T}, device, how);
    if (first == 0) first = result.at("clips_per_s");
    if (session.json) {
      all.push_back({{"tome.r", r}, {"metrics", result}});
      continue;
    }
    fmt::print("{:>4} {:>10.2f} {:>8.2f} {:>9.2f} {:>9.2f} {:>9.3f} {:>8.0f}\n", r,
               result.at("clips_per_s"), result.at("clips_per_s") / first,
               result.at("latency_p50_ms"), result.at("latency_p95_ms"), result.at("gflop"),
               result.at("peak_mem_mb"));
  }
  if (session.json) fmt::print("{}\n", all.dump(1));
  return 0;
}

}  // namespace xp::cli
