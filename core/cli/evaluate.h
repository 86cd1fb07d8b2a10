#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/cli/command.h"
#include "core/cli/data.h"

namespace xp::cli {

/// What `exp evaluate` and `exp bench` were asked for.
struct EvaluateArguments {
  std::string checkpoint;  ///< .safetensors, .pt, .pth, or a train stage's folder
  DataArguments data;      ///< RECIPE, --set, --variant, --stage
  std::string split = "test";
  std::vector<int64_t> tome;  ///< values of r to score with; empty = none
  std::string out;            ///< folder for metrics.json, predictions.h5, ...
  std::string replay;         ///< a kept broken step
  std::string arch;           ///< bench: an architecture in place of a checkpoint
  std::string precision = "fp32";
  std::string device;
  int64_t batch = 0;
  int64_t reps = 30;
  int64_t frames = 1024;
  int64_t classes = 527;
  int threads = 0;
};

class EvaluateCommand final : public Command {
 public:
  void declare(Arguments& declared) override;
  int run(Session& session) override;
  const EvaluateArguments& arguments() const { return arguments_; }

 private:
  EvaluateArguments arguments_;
};

class BenchCommand final : public Command {
 public:
  void declare(Arguments& declared) override;
  int run(Session& session) override;
  const EvaluateArguments& arguments() const { return arguments_; }

 private:
  EvaluateArguments arguments_;
};

}  // namespace xp::cli
