#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "core/cli/recipe_command.h"

namespace xp::cli {

struct InitArguments {
  std::string data;    ///< a folder (a folder per class, in splits or not) or an AST data JSON
  std::string test;    ///< JSON only: the clips to test on
  std::string val;     ///< JSON only: the clips to validate on, may be empty
  std::string labels;  ///< label CSV; needed with a JSON
  std::string output = "recipe.toml";
  bool force = false;

  bool json() const { return std::filesystem::is_regular_file(data); }
};

/// What the recipe is written from.
struct InitFacts {
  int64_t train_clips = 0;
  int64_t val_clips = 0;
  int64_t test_clips = 0;
  int64_t classes = 0;
  int64_t labels_per_clip = 1;  ///< most that a clip has
  double length_s = 0;          ///< that nineteen of twenty clips do not exceed
  double norm_mean = 0;         ///< of the log-mel of the measured clips
  double norm_std = 1;
  int64_t measured = 0;  ///< clips that were decoded for it
};

/// The recipe's text. Paths are written relative to the folder of `arguments.output` where they lie
/// below it, else absolute. Rules: masks of 48 bins and 20 % of the frames (the custom-data rule of
/// AST's forks); one label a clip gives softmax and accuracy, several give sigmoid and mAP; frames
/// cover nineteen of twenty clips.
std::string init_recipe_text(const InitArguments& arguments, const InitFacts& facts);

/// The arguments, when `command` is `exp recipe init`; else nullptr.
const InitArguments* init_arguments(Command& command);

}  // namespace xp::cli
