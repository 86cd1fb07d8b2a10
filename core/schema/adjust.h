#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/schema/frontend.h"
#include "core/schema/model.h"

namespace xp::schema {

/// Applies "model.KEY=VALUE" and "frontend.KEY=VALUE", written as in a recipe's `--set`, to what a
/// checkpoint is taken for. Returns the keys. Throws Error for another section, an unknown key, one
/// that the architecture or front end does not have, and a value that may not stand there.
std::set<std::string> adjust(const std::vector<std::string>& settings, ModelOptions& model,
                             FrontendOptions& frontend);

/// One key of [model] that two descriptions of a model set differently.
struct ModelDifference {
  std::string key;           ///< "norm_first"
  std::string theirs, ours;  ///< as TOML
};

/// Those of `keys` in which they differ; keys that the family does not have are left out.
std::vector<ModelDifference> model_differences(const ModelOptions& theirs, const ModelOptions& ours,
                                               const std::vector<std::string_view>& keys);

/// Keys that change a model's outputs and that neither names nor shapes of its tensors show.
const std::vector<std::string_view>& keys_without_trace();

}  // namespace xp::schema
