#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/cli/data.h"

namespace xp::cli {

/// What `exp evaluate` was asked for.
struct EvaluateArguments {
  std::string checkpoint;  ///< .safetensors, .pt, .pth, or a train stage's folder
  DataArguments data;      ///< RECIPE, --set, --variant, --stage
  std::string split = "test";
  std::vector<int64_t> tome;  ///< values of r to score with; empty = none
  std::string out;            ///< folder for metrics.json, predictions.h5, ...
  std::string replay;         ///< a kept broken step
  std::string precision = "fp32";
  std::string device;
  int64_t batch = 0;
  int threads = 0;
};

}  // namespace xp::cli
