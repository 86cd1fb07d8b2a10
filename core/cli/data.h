#pragma once

#include <cstdint>
#include <string>

#include "core/cli/command.h"
#include "core/run/plan_run.h"

namespace xp::cli {

/// What `exp data ...` was asked for.
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

/// `exp data stats|verify|show|convert|missing`. All parts need HDF5 or decoding, so they run in
/// exp-compute.
class DataCommand final : public Command {
 public:
  void declare(Arguments& declared) override;
  int run(Session& session) override;

  const DataArguments& arguments() const { return arguments_; }

 private:
  DataArguments arguments_;
};

}  // namespace xp::cli
