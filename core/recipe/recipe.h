#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/recipe/value.h"
#include "core/recipe/view.h"

/// A recipe, read and resolved: what `exp` knows before anything runs. The language itself
/// (sections, keys, stage kinds) is handed in as a `Language`; core/schema/load.h has the one that
/// `exp` speaks, and loads with it.
namespace xp::recipe {

class Language;

/// "key=text" of the command line. For a string key the text is raw, otherwise a TOML value.
struct Override {
  std::string key;
  std::string text;
  std::string flag = "--set";  ///< how it was given, for messages
};

struct LoadOptions {
  std::vector<std::string> variants;
  std::vector<Override> overrides;
  /// Reads an environment variable; empty = the process's environment.
  std::function<std::optional<std::string>(const std::string&)> environment;
  /// Reads a recipe file's text, nullopt where there is none; empty = the disk.
  std::function<std::optional<std::string>(const std::filesystem::path&)> read;
  /// Folder that paths of overrides are relative to; empty = the working directory.
  std::filesystem::path working_folder;
};

/// One run of a stage: the stage itself, or one value of its `each`.
struct Instance {
  std::string name;  ///< "train", or "train[dataset.test_fold=2]"
  std::vector<std::pair<std::string, Value>> each;
  View view;
};

struct Stage {
  std::string name;
  std::string kind;
  std::vector<Instance> instances;  ///< at least one
};

enum class SweepStrategy { kGrid, kRandom, kSobol, kTpe, kAsha };
XP_ENUM_NAMES(SweepStrategy, "grid", "random", "sobol", "tpe", "asha")

/// "max:STAGE.METRIC" or "min:STAGE.METRIC", or empty.
bool accepts_objective(std::string_view text);

/// [sweep] as written, specs still text (core/recipe/sweep_spec.h reads them).
struct SweepSection {
  static constexpr std::string_view kSection = "sweep";
  static constexpr std::string_view kHelp = "what `exp sweep` varies and looks for";

  std::vector<std::pair<std::string, std::string>>
      params;  ///< key and spec, in the order of the file
  std::string metric;
  std::vector<std::string> objectives;
  SweepStrategy strategy = SweepStrategy::kGrid;
  int64_t trials = 0;
  int64_t seeds = 1;
  std::vector<std::vector<std::string>> zip;
  std::vector<std::string> exclude;
  int64_t max_failures = 0;
  int64_t rung_first = 1;
  int64_t rung_factor = 3;

  template <class Visitor>
  static void describe(Visitor& v) {
    using O = SweepSection;
    constexpr std::string_view kGoal = "max:STAGE.METRIC or min:STAGE.METRIC";
    v.field("metric", &O::metric,
            {.sweepable = false, .grammar = kGoal, .accepts = &accepts_objective},
            "what the best trial is best at");
    v.field("objectives", &O::objectives,
            {.sweepable = false, .grammar = kGoal, .accepts = &accepts_objective},
            "axes of the Pareto front");
    v.field("strategy", &O::strategy, {.sweepable = false}, "how trials are chosen");
    v.field("trials", &O::trials, {.min = 0, .max = 1e6, .sweepable = false},
            "trials to make, 0 = all of a grid; the other strategies need a number");
    v.field("seeds", &O::seeds, {.min = 1, .max = 1000, .sweepable = false},
            "seeds for each trial: experiment.seed and those after it");
    v.field("zip", &O::zip, {.sweepable = false}, "groups of parameters that go forward together");
    v.field("exclude", &O::exclude, {.sweepable = false},
            "filters: a trial that one of them holds for is left out");
    v.field("max_failures", &O::max_failures, {.min = 0, .max = 1e6, .sweepable = false},
            "failed trials after which the sweep stops, 0 = never");
    v.field("rung_first", &O::rung_first, {.min = 1, .max = 1e6, .sweepable = false},
            "asha: completed epochs after which trials are compared first");
    v.field("rung_factor", &O::rung_factor, {.min = 2, .max = 100, .sweepable = false},
            "asha: one trial in so many goes on, to so many times the epochs");
  }
};

/// One layer that set a key, for `explain`.
struct Setting {
  std::string
      layer;  ///< "default", "extends", "file", "variant tiny", "--set", "stages.train.with"
  Place place;
  std::string text;      ///< the value as written, as TOML
  bool dropped = false;  ///< a later layer changed the section's kind, so this no longer counts
};

struct VariantInfo {
  std::string name;
  std::string help;
  Place place;
};

class Recipe {
 public:
  Recipe(Recipe&&) noexcept;
  Recipe& operator=(Recipe&&) noexcept;
  ~Recipe();

  /// The file, as it was given.
  const std::filesystem::path& path() const;
  /// experiment.name, or the file's name without its ending.
  const std::string& name() const;
  /// Every file that was read, the recipe itself first: what a run keeps with itself.
  const std::vector<std::filesystem::path>& files() const;
  /// The variants and overrides that were applied.
  const LoadOptions& applied() const;

  /// Written stages and instances in the order of the file; stages that exp adds (prepare) are the
  /// graph's.
  const std::vector<Stage>& stages() const;
  const Stage* find_stage(std::string_view name) const;
  /// The stages to reach: experiment.goals, else kinds evaluate, baseline, embed and aggregate,
  /// else all.
  std::vector<std::string> goals() const;
  /// The instances that a reference of `from` means: the one with the same `each` where both stages
  /// have equal ones, else all of them. Precondition: the recipe was loaded, so the stage is there.
  std::vector<const Instance*> resolve(const Reference& reference, const Instance& from) const;

  /// The sections before any stage's `with`.
  const View& base() const;
  const SweepSection& sweep() const;
  std::vector<VariantInfo> variants() const;

  /// The resolved recipe as TOML that gives the same stages by itself: no extends, variants or
  /// references left except those to stages.
  std::string show() const;
  /// One line for each result leaf that some stage reads, defaults included, sorted. Formatting,
  /// comments, key order, paths, speed and label keys do not change it.
  std::string canonical() const;
  /// SHA-256 of `canonical`, 64 hex digits.
  const std::string& hash() const;

  /// Who set a key, oldest first, the default included. `key` is "tome.r" or
  /// "stages.train.with.tome.r". Throws Error for a key that does not exist.
  std::vector<Setting> explain(std::string_view key) const;

  /// Throws Error when setting `key` would change nothing: it does not exist, no stage reads it, or
  /// each stage that reads it pins it in its `with`. For `--param` and sweeps.
  void check_settable(std::string_view key, std::string_view flag) const;

  struct State;

 private:
  friend Recipe load(const Language&, const std::filesystem::path&, const LoadOptions&);
  explicit Recipe(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Every fault of a recipe; `what()` is all of them, one after the other.
class RecipeError : public Error {
 public:
  struct Fault {
    Place place;
    std::string message;
  };
  explicit RecipeError(std::vector<Fault> faults);
  const std::vector<Fault>& faults() const { return faults_; }

 private:
  std::vector<Fault> faults_;
};

/// Reads and resolves. Throws RecipeError with all faults of all files. Does not look at data.
Recipe load(const Language& language, const std::filesystem::path& path,
            const LoadOptions& options);

}  // namespace xp::recipe
