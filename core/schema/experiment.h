#pragma once

#include "core/base/printable.h"
#include "core/recipe/options.h"

namespace xp::schema {

/// [experiment]: what a run is called and its seed.
struct ExperimentOptions {
  static constexpr std::string_view kSection = "experiment";
  static constexpr std::string_view kHelp = "name, seed and labels of the run";

  std::string name;
  int64_t seed = 0;
  std::vector<std::string> tags;
  std::string notes;
  std::vector<std::string> goals;
  bool require_clean = false;
  std::string without_data;

  template <class Visitor>
  static void describe(Visitor& v) {
    using O = ExperimentOptions;
    using recipe::HashClass;
    constexpr std::string_view kLabel = "a text of one line, without control characters";
    v.field("name", &O::name,
            {.hash = HashClass::kLabel, .grammar = kLabel, .accepts = &is_printable},
            "name of the experiment; empty = the file's name");
    v.field("seed", &O::seed, {.min = 0}, "seed of everything random");
    v.field("tags", &O::tags,
            {.hash = HashClass::kLabel, .grammar = kLabel, .accepts = &is_printable},
            "labels to find runs by");
    v.field("notes", &O::notes, {.hash = HashClass::kLabel}, "free text kept with the run");
    v.field("goals", &O::goals, {.sweepable = false},
            "stages to run with all they need; empty = those of kind evaluate, embed, "
            "aggregate and baseline, else all");
    v.field("require_clean", &O::require_clean, {.hash = HashClass::kLabel},
            "refuse to run unless the current folder is under git without uncommitted changes");
    v.field("without_data", &O::without_data, {.hash = HashClass::kLabel, .sweepable = false},
            "variant that `exp run` turns to, saying so loudly, when the data set's folder is not "
            "there; empty = an "
            "error");
  }
};

}  // namespace xp::schema
