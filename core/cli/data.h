#pragma once

#include <cstdint>
#include <string>

#include "core/run/plan_run.h"

namespace xp::cli {

/// What `exp data stats|verify|show|convert|missing` was asked for. All parts need HDF5 or
/// decoding, so they run in exp-compute.
struct DataArguments {
  std::string part;          ///< the chosen sub-command: "stats", "verify", ...
  run::RunArguments recipe;  ///< RECIPE, --set, --variant
  std::string stage;  ///< whose data set, front end and augmentation; empty = the first that trains
  std::string split = "train";
  std::string
      folder;  ///< verify: a prepared folder in place of a recipe; convert, missing: where to write
  bool norm = false;
  bool ast_norm = false;
  bool per_class = false;
  bool batch = false;
  std::string clip;  ///< show: id of a clip
  int64_t step = 0;  ///< show --batch: which batch of epoch 0
  std::string out;
};

}  // namespace xp::cli
