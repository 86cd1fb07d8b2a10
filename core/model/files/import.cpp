#include "core/model/files/import.h"

#include <algorithm>
#include <array>
#include <set>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/base/error.h"
#include "core/model/cnn/dymn.h"
#include "core/model/cnn/mn.h"
#include "core/model/files/file_grid.h"
#include "core/model/position.h"
#include "core/model/trunk.h"

namespace xp::model {
namespace {

using schema::Grid;

std::string grid_text(Grid grid) { return fmt::format("{}x{}", grid.f, grid.t); }

std::string shape_text(const at::Tensor& t) {
  return fmt::format("[{}]", fmt::join(t.sizes(), ", "));
}

bool starts(std::string_view name, std::string_view prefix) {
  return name.substr(0, prefix.size()) == prefix;
}

/// Names at most, then how many more.
std::string some(const std::vector<std::string>& names) {
  constexpr size_t kMost = 6;
  const size_t shown = std::min(names.size(), kMost);
  std::string text = fmt::format(
      "{}", fmt::join(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(shown), ", "));
  if (names.size() > shown) text += fmt::format(" and {} more", names.size() - shown);
  return text;
}

constexpr std::string_view kTemperature = "temperature";  // of dymn: in no original's file

class Importer {
 public:
  Importer(Model& model, Renamed source, std::filesystem::path file, const ImportOptions& options)
      : model_(model),
        trunk_(dynamic_cast<const Trunk*>(&model)),
        source_(std::move(source)),
        file_(std::move(file)),
        options_(options) {}

  ImportReport run() {
    report_.original = source_.original;
    report_.averaged = source_.averaged;
    report_.dead = source_.dead;
    check_family();
    if (trunk_ != nullptr) {
      pick_blocks();
      fit_tokens();
      fit_positions();
      drop_other_classes("head.linear.weight", "head.linear.bias");
    } else {
      drop_other_classes("classifier.5.weight", "classifier.5.bias");
      drop_other_conv_head();
    }
    fit_colours(trunk_ != nullptr ? "patch_embed.proj.weight" : "features.0.0.weight");
    fit_colours("in_c.0.weight");
    plan();
    check();
    copy();
    return std::move(report_);
  }

 private:
  [[noreturn]] void bad(const std::string& what) const {
    throw Error(Place{file_.string()}, checkpoint::printable(what), Exit::kData);
  }

  at::Tensor* find(const std::string& ours) {
    const auto found = source_.tensors.find(ours);
    return found == source_.tensors.end() ? nullptr : &found->second;
  }
  at::Tensor* wanted(const std::string& ours) {
    for (NamedTensor& t : state_) {
      if (t.name == ours) return &t.tensor;
    }
    return nullptr;
  }
  void changed(const std::string& name, std::string what) {
    report_.reshaped.push_back({name, std::move(what)});
  }

  std::string_view body() const {
    if (trunk_ != nullptr) return "a transformer";
    const bool cnn = dynamic_cast<const Mn*>(&model_) != nullptr ||
                     dynamic_cast<const Dymn*>(&model_) != nullptr;
    return cnn ? "a CNN" : "neither a transformer nor a CNN";
  }

  void check_family() {
    const bool cnn = source_.original == Original::kMn || source_.original == Original::kDymn;
    if (source_.original == Original::kExp || body() == (cnn ? "a CNN" : "a transformer")) return;
    bad(fmt::format("these are weights of {}, the model is {}", original_name(source_.original),
                    body()));
  }

  /// Blocks of the full model to their places in one with fewer.
  void pick_blocks() {
    const auto& places = trunk_->options().source_blocks;
    bool moved = false;
    for (size_t i = 0; i < places.size(); ++i)
      moved = moved || places[i] != static_cast<int64_t>(i);
    // A checkpoint of the shortened model itself has no more blocks than the model.
    const int64_t depth = trunk_->options().depth;
    if (!moved || find("blocks." + std::to_string(depth) + ".norm1.weight") == nullptr) return;
    std::map<std::string, at::Tensor> kept;
    for (auto& [name, tensor] : source_.tensors) {
      if (!starts(name, "blocks.")) {
        kept[name] = tensor;
        continue;
      }
      const auto dot = name.find('.', 7);
      const int64_t from = std::stoll(name.substr(7, dot - 7));
      const auto place = std::find(places.begin(), places.end(), from);
      if (place != places.end())
        kept["blocks." + std::to_string(place - places.begin()) + name.substr(dot)] = tensor;
    }
    source_.tensors = std::move(kept);
    changed("blocks", fmt::format("blocks {} of the full model", fmt::join(places, ", ")));
  }

  /// Position embeddings of the special tokens, and a distillation token for models without one.
  void fit_tokens() {
    at::Tensor* const rows = find("pos.special");
    if (source_.original == Original::kDeit && find("dist_token") == nullptr &&
        find("cls_token") != nullptr) {
      source_.tensors["dist_token"] = find("cls_token")->clone();
      changed("dist_token", "a copy of the class token");
      if (rows != nullptr && rows->size(0) == 1) *rows = at::cat({*rows, *rows});
    }
    const at::Tensor* const wants = wanted("pos.special");
    if (wants != nullptr && rows == nullptr) {
      source_.tensors["pos.special"] = at::zeros(wants->sizes(), at::kFloat);
      changed("pos.special", "zero: the original gives its special tokens no position");
    }
    if (wants == nullptr && rows != nullptr) {
      // Both are added to the token, so one sum says the same.
      const std::array<const char*, 2> tokens = {"cls_token", "dist_token"};
      for (int64_t i = 0; i < rows->size(0) && i < 2; ++i) {
        at::Tensor* const token = find(tokens[static_cast<size_t>(i)]);
        if (token != nullptr) *token = *token + (*rows)[i];
      }
      source_.tensors.erase("pos.special");
      changed("cls_token, dist_token", "with their positions added");
    }
  }

  /// Rows and columns of a list [patches, D] in the file.
  Grid grid_of_file(const at::Tensor& list) {
    if (source_.grid.count() == list.size(0)) return source_.grid;  // the file says
    const TrunkOptions& o = trunk_->options();
    const at::Tensor* const kernel = find("patch_embed.proj.weight");
    PatchList patches;
    patches.count = list.size(0);
    patches.patch_f = kernel != nullptr && kernel->dim() == 4 ? kernel->size(2) : o.patch_f;
    patches.image = source_.original == Original::kDeit;
    patches.said = options_.grid;
    patches.stride_f = options_.stride_f > 0 ? options_.stride_f : o.stride_f;
    patches.bins = options_.bins;
    if (!options_.grid_of_its_own) {
      patches.model = o.grid;
    } else if (patches.bins == 0) {
      patches.bins = o.patch_f + (o.grid.f - 1) * o.stride_f;
    }
    patches.bins_assumed = options_.bins_assumed;
    patches.strides_assumed = options_.strides_assumed;
    patches.frames_assumed = options_.frames_assumed;
    std::string fault;
    const std::optional<Grid> grid = grid_of_list(patches, fault);
    if (!grid) bad(fault);
    return *grid;
  }

  void fit_positions() {
    const TrunkOptions& o = trunk_->options();
    if (at::Tensor* const list = find("pos.grid"); list != nullptr && list->dim() == 2) {
      const Grid grid = grid_of_file(*list);
      source_.grid = grid;
      *list = list->reshape({grid.f, grid.t, list->size(1)});
    }
    if (o.position == PositionKind::kJoint) {
      fit_joint(o.grid);
    } else {
      fit_separate(o.grid);
    }
  }

  void fit_joint(Grid want) {
    if (find("pos.freq") != nullptr && find("pos.time") != nullptr) {
      const at::Tensor sum = find("pos.freq")->unsqueeze(1) + find("pos.time")->unsqueeze(0);
      source_.grid = {sum.size(0), sum.size(1)};
      source_.tensors.erase("pos.freq");
      source_.tensors.erase("pos.time");
      source_.tensors["pos.grid"] = sum;
      changed("pos.grid", "the sum of the time and the frequency embedding");
    }
    at::Tensor* const grid = find("pos.grid");
    if (grid == nullptr || grid->dim() != 3) return;
    const Grid have{grid->size(0), grid->size(1)};
    if (have == want) return;
    // SSAST's code stretches time over 8 rows, whatever the pretraining had.
    const bool stretches = source_.original == Original::kSsast && want.t >= have.t;
    if (stretches && have.f != 8) *grid = fit_grid(*grid, {8, have.t});
    *grid = fit_grid(*grid, want);
    const auto how = [](int64_t from, int64_t to) {
      return to < from ? "cut around the middle" : to > from ? "stretched" : "kept";
    };
    changed("pos.grid", fmt::format("{} -> {}, time {}, frequency {}", grid_text(have),
                                    grid_text(want), how(have.t, want.t), how(have.f, want.f)));
  }

  void fit_separate(Grid want) {
    if (at::Tensor* const grid = find("pos.grid"); grid != nullptr && grid->dim() == 3) {
      const SeparatePosition fitted = separate_grid(*grid, want);
      changed("pos.freq, pos.time",
              fmt::format("{} -> {}, bicubic, means of rows and columns",
                          grid_text({grid->size(0), grid->size(1)}), grid_text(want)));
      source_.tensors.erase("pos.grid");
      source_.tensors["pos.freq"] = fitted.freq;
      source_.tensors["pos.time"] = fitted.time;
      return;
    }
    at::Tensor* const time = find("pos.time");
    if (time == nullptr || time->dim() != 2 || time->size(0) == want.t) return;
    const int64_t have = time->size(0);
    if (have > want.t) {
      *time = time->narrow(0, 0, want.t);
      changed("pos.time", fmt::format("{} -> {} columns, cut at the end", have, want.t));
    } else {
      // No original does this: PaSST cuts the input instead.
      *time = fit_grid(time->unsqueeze(0), {1, want.t})[0];
      changed("pos.time", fmt::format("{} -> {} columns, stretched", have, want.t));
    }
  }

  void fit_colours(const std::string& name) {
    at::Tensor* const kernel = find(name);
    const at::Tensor* const want = wanted(name);
    if (kernel == nullptr || want == nullptr || kernel->dim() != 4 || kernel->size(1) != 3 ||
        want->size(1) != 1)
      return;
    *kernel = kernel->sum(1, /*keepdim=*/true);
    changed(name, "colours summed");
  }

  void leave_out(const std::string& name) {
    if (source_.tensors.erase(name) != 0) report_.dead.push_back(source_.theirs[name]);
  }

  /// Whether a layer of the file is the model's but for the number of its rows.
  bool has_other_rows(const std::string& weight, const std::string& bias) {
    const at::Tensor* const have = find(weight);
    const at::Tensor* const want = wanted(weight);
    const at::Tensor* const offset = find(bias);
    if (have == nullptr || want == nullptr || offset == nullptr) return false;
    return have->dim() == want->dim() && have->sizes().slice(1) == want->sizes().slice(1) &&
           have->size(0) != want->size(0) && offset->dim() == 1 && offset->size(0) == have->size(0);
  }

  /// A classifier for other classes stays as the model has it: fine-tuning starts with a new one.
  /// So does the model's where the file has none. One that is damaged is not dropped: what is
  /// missing or does not fit shows later.
  void drop_other_classes(const std::string& weight, const std::string& bias) {
    const bool absent = find(weight) == nullptr && find(bias) == nullptr;
    const bool no_place = wanted(weight) == nullptr;
    if (!absent && !no_place && !has_other_rows(weight, bias)) return;
    leave_out(weight);
    leave_out(bias);
    new_head_ = {weight, bias};
    const bool takes_norm =
        source_.original == Original::kPasst || source_.original == Original::kExp;
    if (trunk_ == nullptr || (takes_norm && wanted("head.norm.weight") != nullptr)) return;
    for (const char* name : {"head.norm.weight", "head.norm.bias"}) {
      leave_out(name);
      new_head_.emplace_back(name);
    }
  }

  void drop_other_conv_head() {
    if (!has_other_rows("classifier.0.weight", "classifier.1.bias")) return;
    for (const NamedTensor& t : state_) {
      if (!starts(t.name, "classifier.")) continue;
      leave_out(t.name);
      new_head_.push_back(t.name);
    }
  }

  bool expected_absent(const std::string& name) const {
    if (std::find(new_head_.begin(), new_head_.end(), name) != new_head_.end()) return true;
    if (name == kTemperature) return true;
    // Masked pretraining may start from an image or a fine-tuned model, whose files have no such
    // heads; a classifier is new after pretraining.
    const bool pretraining =
        name == "mask_embed" || starts(name, "cpredlayer.") || starts(name, "gpredlayer.");
    if (pretraining) return source_.tensors.count("mask_embed") == 0;
    const bool has_head = source_.tensors.count("head.linear.weight") != 0 ||
                          source_.tensors.count("head.linear.bias") != 0;
    return trunk_ != nullptr && starts(name, "head.") && !has_head;
  }

  void plan() {
    for (const NamedTensor& t : state_) {
      const auto found = source_.tensors.find(t.name);
      if (found == source_.tensors.end()) {
        (expected_absent(t.name) ? report_.fresh : report_.missing).push_back(t.name);
        continue;
      }
      if (found->second.sizes() != t.tensor.sizes()) {
        misfits_.push_back(fmt::format("{} is {} there and {} here", t.name,
                                       shape_text(found->second), shape_text(t.tensor)));
        continue;
      }
      copies_.emplace_back(t.tensor, found->second);
      taken_.insert(t.name);
    }
    for (const auto& [name, tensor] : source_.tensors) {
      if (taken_.count(name) != 0) continue;
      const bool pretraining =
          name == "mask_embed" || starts(name, "cpredlayer.") || starts(name, "gpredlayer.");
      auto& list = pretraining ? report_.dead : report_.unexpected;
      const auto theirs = source_.theirs.find(name);
      if (wanted(name) == nullptr)
        list.push_back(theirs == source_.theirs.end() ? name : theirs->second);
    }
    for (const std::string& name : source_.unknown)
      report_.unexpected.push_back(source_.prefix + name);
  }

  void check() const {
    if (!misfits_.empty())
      bad(fmt::format("{} weights do not fit the model: {}", original_name(source_.original),
                      some(misfits_)));
    if (copies_.empty()) bad("none of its tensors is one of the model's");
    if (!options_.strict) return;
    if (!report_.missing.empty()) {
      bad(fmt::format("it lacks {} of the model's tensors: {}; {}", report_.missing.size(),
                      some(report_.missing),
                      is_shard() ? "it is one of several shards: give their folder or its index"
                                 : "model.strict = false (--loose) leaves them at their start "
                                   "values"));
    }
    if (!report_.unexpected.empty()) {
      bad(
          fmt::format("the model has no place for {} of its tensors: {}; model.strict = false "
                      "(--loose) ignores "
                      "them",
                      report_.unexpected.size(), some(report_.unexpected)));
    }
  }

  /// "model-00001-of-00003.safetensors"
  bool is_shard() const { return file_.stem().string().find("-of-0") != std::string::npos; }

  void copy() {
    const at::NoGradGuard no_grad;
    for (auto& [to, from] : copies_) to.copy_(from);
    report_.used = static_cast<int64_t>(copies_.size());
  }

  Model& model_;
  const Trunk* trunk_;
  Renamed source_;
  std::filesystem::path file_;
  ImportOptions options_;
  std::vector<NamedTensor> state_ = model_.state();
  std::vector<std::string> new_head_;
  std::vector<std::string> misfits_;
  std::vector<std::pair<at::Tensor, at::Tensor>> copies_;
  std::set<std::string> taken_;
  ImportReport report_;
};

}  // namespace

void take_said_positions(const schema::ModelOptions& said, ImportOptions& import) {
  if (said.weights_grid.size() == 2) {
    import.grid = Grid{said.weights_grid[0], said.weights_grid[1]};
  } else if (!said.weights_grid.empty()) {
    throw Error(said.fault().value_or("model.weights_grid is not rows and columns"));
  }
  if (said.weights_fstride > 0) {
    import.stride_f = said.weights_fstride;
    import.strides_assumed = false;
  }
  if (said.weights_mel_bins > 0) {
    import.bins = said.weights_mel_bins;
    import.bins_assumed = false;
  }
  import.grid_of_its_own = said.weights_fstride > 0 || said.weights_mel_bins > 0;
}

ImportReport load_weights(Model& model, const checkpoint::Archive& archive,
                          const std::filesystem::path& file, const ImportOptions& options) {
  try {
    return Importer(model, rename(archive, file), file, options).run();
  } catch (const c10::Error& error) {
    // What the rules above foresee is said in their words; this names the file at least.
    throw Error(Place{file.string()},
                fmt::format("its tensors cannot be made the model's: {}",
                            checkpoint::printable(error.what_without_backtrace())),
                Exit::kData);
  }
}

bool ImportReport::exact() const {
  const auto ours_alone = [](const std::string& name) { return name == kTemperature; };
  return averaged.empty() && reshaped.empty() && missing.empty() &&
         std::all_of(fresh.begin(), fresh.end(), ours_alone);
}

int64_t time_positions(const checkpoint::Archive& archive) {
  constexpr auto kNames = std::to_array<std::pair<std::string_view, size_t>>(
      {{"time_new_pos_embed", 3}, {"embedding.time_embedding", 1}, {"pos.time", 0}});
  for (const checkpoint::Entry& entry : archive.entries()) {
    for (const auto& [name, axis] : kNames) {
      if (std::string_view(entry.name).ends_with(name) && axis < entry.shape.size())
        return entry.shape[axis];
    }
  }
  return 0;
}

std::string untrained_head(const Model& model, const ImportReport& report) {
  for (const auto* list : {&report.fresh, &report.missing}) {
    for (const std::string& name : *list)
      if (model.placement(name).head) return name;
  }
  return "";
}

std::string ImportReport::line() const {
  std::string text = fmt::format("{}: {} tensors", original_name(original), used);
  if (!averaged.empty()) text += fmt::format(" of the averaged copy ({})", averaged);
  for (const Change& c : reshaped) text += fmt::format("; {}: {}", c.name, c.what);
  if (!fresh.empty()) text += "; new: " + some(fresh);
  if (!missing.empty()) text += "; missing: " + some(missing);
  if (!unexpected.empty()) text += "; not used: " + checkpoint::printable(some(unexpected));
  return text;
}

std::string ImportReport::text() const {
  std::string text = fmt::format(
      "{}: {} tensors used{}\n", original_name(original), used,
      averaged.empty() ? "" : fmt::format(", those of the averaged copy ({})", averaged));
  for (const Change& c : reshaped) text += fmt::format("  fitted      {}: {}\n", c.name, c.what);
  const auto group = [&](const char* title, const std::vector<std::string>& names) {
    for (const std::string& name : names)
      text += fmt::format("  {:<11} {}\n", title, checkpoint::printable(name));
  };
  group("new", fresh);
  group("missing", missing);
  group("unexpected", unexpected);
  group("of no use", dead);
  return text;
}

}  // namespace xp::model
