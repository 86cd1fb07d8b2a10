// Rules about data, front end and the shape of what a model sees.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/base/error.h"
#include "core/schema/check.h"
#include "core/schema/check_rules.h"
#include "core/schema/geometry.h"
#include "core/schema/split_folders.h"

namespace xp::schema {
namespace {

constexpr std::uintmax_t kLargestLabels = std::uintmax_t{16} << 20;

/// Lines of a label CSV after its header; nullopt when it cannot be read or is none by its size.
std::optional<int64_t> label_rows(const std::string& path) {
  std::error_code none;
  if (!std::filesystem::is_regular_file(path, none))
    return std::nullopt;  // a pipe or /dev/zero would not end
  if (std::filesystem::file_size(path, none) > kLargestLabels || none) return std::nullopt;
  std::ifstream file(path);
  if (!file) return std::nullopt;
  int64_t rows = -1;
  for (std::string line; std::getline(file, line);) rows += line.empty() || line == "\r" ? 0 : 1;
  return rows < 0 ? std::nullopt : std::optional<int64_t>(rows);
}

/// Classes of the set as published; nullopt where only the data can tell.
std::optional<int64_t> published_classes(const DatasetOptions& dataset) {
  switch (dataset.name) {
    case DatasetName::kAudioset:
      return 527;
    case DatasetName::kEsc50:
      return dataset.subset == EscSubset::kEsc10 ? 10 : 50;
    case DatasetName::kSpeechcommands:
      if (dataset.words == CommandWords::kCore10) return 10;
      if (dataset.words == CommandWords::kCore12) return 12;
      return dataset.version == 1 ? 30 : 35;
    case DatasetName::kFsd50k:
      return 200;
    case DatasetName::kOpenmic:
      return 20;
    case DatasetName::kSynthetic:
      return dataset.classes;
    default:
      return std::nullopt;
  }
}

/// A joined set has its own clips and splits; what is done with all clips stands in [dataset]
/// alone, and would be passed over here.
void check_joined(const Rules& rules) {
  const recipe::Value* also = rules.view().find("dataset", "also");
  const recipe::Array* sets = also == nullptr ? nullptr : also->get<recipe::Array>();
  if (sets == nullptr) return;
  for (const recipe::Value& set : *sets) {
    for (const char* key :
         {"also", "crop", "on_bad_clip", "max_bad_p", "resample", "store", "shard_mb"}) {
      const recipe::Table& table = *set.get<recipe::Table>();
      if (const auto found = table.find(std::string_view(key)); found != table.end()) {
        rules.fault_at(
            found->second,
            fmt::format("dataset.also: {} is set for the whole set: put it in [dataset]", key));
      }
    }
  }
}

constexpr bool has_folds(DatasetName name) {
  return name == DatasetName::kEsc50 || name == DatasetName::kSynthetic;
}

/// Every name that a split of the set may have; nullopt where only the data can tell.
std::optional<std::vector<std::string>> split_names(const DatasetOptions& dataset) {
  if (has_folds(dataset.name) || dataset.name == DatasetName::kJson)
    return {{"train", "val", "test"}};
  switch (dataset.name) {
    case DatasetName::kSpeechcommands:
      return {{"train", "validation", "testing", "val", "test"}};
    case DatasetName::kFsd50k:
      return {{"train", "val", "eval", "test"}};
    case DatasetName::kOpenmic:
      return {{"train", "test"}};
    case DatasetName::kAudioset:
    case DatasetName::kPasstHdf5: {
      std::vector<std::string> out = {"train", "eval", "test"};
      if (dataset.name == DatasetName::kPasstHdf5) out.emplace_back("val");
      out.insert(out.end(), dataset.parts.begin(), dataset.parts.end());
      return out;
    }
    default:
      return std::nullopt;
  }
}

void check_splits(const Rules& rules, const DatasetOptions& dataset, bool joined) {
  const auto names = split_names(dataset);
  if (!names) return;
  const std::pair<std::string_view, const std::string&> roles[] = {
      {"train", dataset.train}, {"val", dataset.val}, {"test", dataset.test}};
  for (const auto& [role, name] : roles) {
    const bool known = std::find(names->begin(), names->end(), name) != names->end();
    if (known || name.empty() || name == "none") continue;
    const std::string key = fmt::format("dataset.{}", role);
    const std::string near = nearest(name, *names);
    rules.fault({joined ? "dataset.also" : std::string_view(key)},
                fmt::format("{} = \"{}\": {} has no such split{}", key, name,
                            recipe::enum_name(dataset.name),
                            near.empty() ? fmt::format("; it has {}", fmt::join(*names, ", "))
                                         : did_you_mean(near)));
  }
}

const std::string& split_name(const DatasetOptions& dataset, Split split) {
  return split == Split::kTrain ? dataset.train : split == Split::kVal ? dataset.val : dataset.test;
}

bool no_overlap_limit(const Arch& arch) { return arch.patch_f != 16 || arch.patch_t != 16; }

}  // namespace

std::optional<int64_t> known_classes(const DatasetOptions& dataset) {
  if (!dataset.also.empty()) return std::nullopt;
  if (!dataset.labels.empty()) {
    if (const auto rows = label_rows(dataset.labels)) return rows;
  }
  return published_classes(dataset);
}

bool has_split(const DatasetOptions& dataset, Split split) {
  const std::string& name = split_name(dataset, split);
  if (name == "none" || name.empty()) return false;
  if (has_folds(dataset.name) && name == "val") return dataset.val_fold > 0;
  if (dataset.name == DatasetName::kJson) {
    if (name == "train") return !dataset.json_train.empty();
    if (name == "val") return !dataset.json_val.empty();
    if (name == "test") return !dataset.json_test.empty();
  }
  return true;
}

void check_split_is_there(const Rules& rules, const DatasetOptions& dataset, Split split) {
  const auto check = [&](const DatasetOptions& set, std::string_view joined) {
    const auto names = folder_splits(set);
    const std::string& name = split_name(set, split);
    if (!names || name.empty() || name == "none") return;
    if (std::find(names->begin(), names->end(), name) != names->end()) return;
    const std::string key = fmt::format("dataset.{}", recipe::enum_name(split));
    rules.fault({joined.empty() ? std::string_view(key) : joined, "dataset.root", "dataset.name"},
                fmt::format("{} = \"{}\": {} has no such split; it has {}", key, name, set.root,
                            fmt::join(*names, ", ")));
  };
  check(dataset, "");
  for (const DatasetOptions& set : dataset.also) check(set, "dataset.also");
}

void check_dataset(const Rules& rules, const DatasetOptions& dataset) {
  check_joined(rules);
  const bool needs_root =
      dataset.name != DatasetName::kSynthetic && dataset.name != DatasetName::kJson;
  if (needs_root && dataset.root.empty()) {
    rules.fault({"dataset.name"}, fmt::format("dataset.root is not set: where is {}?",
                                              recipe::enum_name(dataset.name)));
  }
  check_splits(rules, dataset, false);
  for (const DatasetOptions& joined : dataset.also) check_splits(rules, joined, true);
  if (dataset.val_fold == dataset.test_fold) {
    rules.fault(
        {"dataset.val_fold", "dataset.test_fold"},
        fmt::format("dataset.val_fold and dataset.test_fold are both {}", dataset.test_fold));
  }
  if (dataset.name == DatasetName::kSpeechcommands && dataset.version == 1 &&
      !dataset.labels.empty())
    return;
  const auto published = published_classes(dataset);
  if (published && !dataset.labels.empty()) {
    const auto rows = label_rows(dataset.labels);
    if (rows && *rows != *published) {
      rules.fault({"dataset.labels"}, fmt::format("dataset.labels has {} classes, {} has {}", *rows,
                                                  recipe::enum_name(dataset.name), *published));
    }
  }
}

void check_frontend(const Rules& rules, const FrontendOptions& frontend) {
  const FrontendOptions defaults = FrontendOptions::of_kind(frontend.kind);
  const double nyquist = static_cast<double>(frontend.rate_hz) / 2;
  if (!frontend.norm.empty()) {
    if (frontend.norm_mean != defaults.norm_mean || frontend.norm_std != defaults.norm_std) {
      rules.fault(
          {"frontend.norm"},
          "frontend.norm takes mean and deviation from a stage: leave out norm_mean and norm_std");
    }
    check_reference_kind(rules, "frontend.norm", frontend.norm, {"stats"});
  }
  if (frontend.window_samples > frontend.fft_size) {
    rules.fault({"frontend.window_samples", "frontend.fft_size"},
                fmt::format("frontend.window_samples is {}, more than the {} points of fft_size",
                            frontend.window_samples, frontend.fft_size));
  }
  if (frontend.high_hz > nyquist) {
    rules.fault({"frontend.high_hz", "frontend.rate_hz"},
                fmt::format("frontend.high_hz is {:g}, above half the rate ({:g})",
                            frontend.high_hz, nyquist));
  }
  if (frontend.low_hz >= (frontend.high_hz > 0 ? frontend.high_hz : nyquist)) {
    rules.fault({"frontend.low_hz", "frontend.high_hz"},
                "frontend.low_hz is not below the upper edge");
  }
}

void check_geometry(const Rules& rules, const ModelOptions& model,
                    const FrontendOptions& frontend) {
  if (const auto fault = model.fault())
    rules.fault({"model.strides", "model.aggregator", "model.special_tokens"}, *fault);
  const Arch arch = model.resolved();
  if (!is_transformer(arch.family)) return;
  if (arch.depth < 1) {
    rules.fault({"model.cut_depth", "model.depth"}, "model.cut_depth leaves less than two blocks");
    return;
  }
  if (arch.dim % arch.heads != 0) {
    rules.fault({"model.heads", "model.dim"},
                fmt::format("model.dim {} is no multiple of model.heads {}", arch.dim, arch.heads));
  }
  if (model.freeze_blocks > arch.depth) {
    rules.fault({"model.freeze_blocks"}, fmt::format("model.freeze_blocks is {}, the model has {}",
                                                     model.freeze_blocks, arch.depth));
  }
  const Grid stride = strides(model);
  if (!no_overlap_limit(arch) && stride.f > arch.patch_f) {
    rules.fault({"model.fstride"},
                fmt::format("model.fstride is {}: patches of {} bins would leave gaps", stride.f,
                            arch.patch_f));
  }
  const Geometry input = input_geometry(frontend);
  const Grid grid = patch_grid(model, {input.F, std::max(input.T, arch.patch_t)});
  if (grid.count() == 0 || (input.T > 0 && input.T < arch.patch_t)) {
    rules.fault({"frontend.frames", "frontend.mel_bins", "model.arch"},
                fmt::format("no patch of {} x {} fits into {} bins x {} frames", arch.patch_f,
                            arch.patch_t, input.F, input.T));
  }
  if (arch.family == Family::k_passt && model.pos_frames > 0 && input.T > 0) {
    const int64_t there = passt_position_grid(model, {input.F, model.pos_frames}).t;
    if (grid.t > there) {
      rules.fault(
          {"model.pos_frames", "frontend.clip_s", "frontend.frames"},
          fmt::format(
              "the input has {} patches in time, model.pos_frames = {} has positions for {}",
              grid.t, model.pos_frames, there));
    }
  }
}

}  // namespace xp::schema
