#include "sweeps/spec_json.h"

#include <nlohmann/json.hpp>

#include "core/base/error.h"

namespace xp::sweeps {

using nlohmann::json;

std::string spec_to_json(const SweepSpec& spec) {
  json objectives = json::array();
  for (const Objective& objective : spec.objectives)
    objectives.push_back(objective_text(objective));
  const json out = {{"folder", spec.folder},
                    {"argv", spec.argv},
                    {"variants", spec.variants},
                    {"sets", spec.sets},
                    {"params", spec.params},
                    {"zip", spec.zip},
                    {"exclude", spec.exclude},
                    {"strategy", spec.strategy},
                    {"seed", spec.seed},
                    {"seeds", spec.seeds},
                    {"trials", spec.trials},
                    {"lag", spec.lag},
                    {"rung_first", spec.rung_first},
                    {"rung_factor", spec.rung_factor},
                    {"objectives", objectives},
                    {"devices", spec.devices},
                    {"executor", spec.executor},
                    {"slurm", spec.slurm}};
  return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

SweepSpec spec_from_json(std::string_view text) {
  try {
    const json in = json::parse(text);
    SweepSpec out;
    in.at("folder").get_to(out.folder);
    in.at("argv").get_to(out.argv);
    in.at("variants").get_to(out.variants);
    in.at("sets").get_to(out.sets);
    in.at("params").get_to(out.params);
    in.at("zip").get_to(out.zip);
    in.at("exclude").get_to(out.exclude);
    in.at("strategy").get_to(out.strategy);
    in.at("seed").get_to(out.seed);
    in.at("seeds").get_to(out.seeds);
    in.at("trials").get_to(out.trials);
    in.at("lag").get_to(out.lag);
    in.at("rung_first").get_to(out.rung_first);
    in.at("rung_factor").get_to(out.rung_factor);
    in.at("devices").get_to(out.devices);
    if (in.contains("executor")) {  // absent in what an earlier exp wrote
      in.at("executor").get_to(out.executor);
      in.at("slurm").get_to(out.slurm);
    }
    for (const auto& objective : in.at("objectives"))
      out.objectives.push_back(parse_objective(objective.get<std::string>()));
    return out;
  } catch (const json::exception& error) {
    throw Error(std::string("sweep.db: its spec cannot be read: ") + error.what(), Exit::kData);
  }
}

std::string place_to_json(const std::vector<double>& place) { return json(place).dump(); }

std::vector<double> place_from_json(std::string_view text) {
  const json in = json::parse(text, nullptr, false);
  return in.is_array() ? in.get<std::vector<double>>() : std::vector<double>();
}

}  // namespace xp::sweeps
