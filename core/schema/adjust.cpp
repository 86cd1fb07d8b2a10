#include "core/schema/adjust.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/recipe/overrides.h"
#include "core/recipe/section_of.h"
#include "core/recipe/toml.h"
#include "core/schema/load.h"

namespace xp::schema {

std::set<std::string> adjust(const std::vector<std::string>& settings, ModelOptions& model,
                             FrontendOptions& frontend) {
  const recipe::Language& known = language();
  recipe::Section sections[2] = {recipe::section_of(model), recipe::section_of(frontend)};
  std::set<std::string> keys;
  for (const std::string& setting : settings) {
    const size_t equals = setting.find('=');
    if (equals == std::string::npos)
      throw Error(fmt::format("--set {}: expected KEY=VALUE", setting));
    const std::string key = setting.substr(0, equals);
    const recipe::FieldSpec* field = known.find_key(key);
    if (field == nullptr)
      throw Error(fmt::format("--set: unknown key '{}'{}", key, known.hint_for(key)));
    const bool of_model = field->section == ModelOptions::kSection;
    if (!of_model && field->section != FrontendOptions::kSection)
      throw Error(
          fmt::format("--set {}: of a checkpoint only model.* and frontend.* are asked", key));
    if (key == "model.arch" || key == "model.weights" || key == "frontend.kind")
      throw Error(fmt::format("--set {}: the checkpoint and --arch say that", key));
    recipe::Section& section = sections[of_model ? 0 : 1];
    if (!known.find_section(field->section)->has(*field, section)) {
      throw Error(fmt::format("--set {}: {} has no such key", key,
                              of_model ? model.arch : recipe::enum_name(frontend.kind)));
    }
    const recipe::Value value = recipe::override_value(*field, key, setting.substr(equals + 1), 0);
    if (const auto fault = field->fault(value, true))
      throw Error(fmt::format("--set {}: {}", key, *fault));
    section[field->key] = value;
    keys.insert(key);
  }
  model = recipe::detail::build_section<ModelOptions>(sections[0]);
  frontend = recipe::detail::build_section<FrontendOptions>(sections[1]);
  if (const auto fault = model.fault()) throw Error(*fault);
  return keys;
}

std::vector<ModelDifference> model_differences(const ModelOptions& theirs, const ModelOptions& ours,
                                               const std::vector<std::string_view>& keys) {
  const recipe::Section there = recipe::section_of(theirs);
  const recipe::Section here = recipe::section_of(ours);
  std::vector<ModelDifference> out;
  for (const std::string_view key : keys) {
    const auto a = there.find(key);
    const auto b = here.find(key);
    if (a == there.end() || b == here.end()) continue;
    ModelDifference found{std::string(key), recipe::to_toml(a->second), recipe::to_toml(b->second)};
    if (found.theirs != found.ours) out.push_back(std::move(found));
  }
  return out;
}

const std::vector<std::string_view>& keys_without_trace() {
  static const std::vector<std::string_view> keys = {"heads",    "norm_first",     "activation",
                                                     "norm_eps", "final_norm_eps", "strides",
                                                     "dilated",  "se_agg",         "no_ca"};
  return keys;
}

}  // namespace xp::schema
