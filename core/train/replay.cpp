#include "core/train/replay.h"

#include <functional>
#include <optional>
#include <sstream>
#include <string_view>
#include <utility>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>

#include "core/base/error.h"
#include "core/checkpoint/archive.h"
#include "core/load/archive_io.h"
#include "core/load/weights_file.h"
#include "core/model/registry.h"
#include "core/recipe/options_io.h"
#include "core/schema/kd.h"
#include "core/schema/patchout.h"
#include "core/schema/pretrain.h"
#include "core/schema/reductions.h"
#include "core/train/evidence.h"
#include "core/train/pretrain_task.h"
#include "core/train/state.h"
#include "core/train/supervised.h"

namespace xp::train {
namespace {

constexpr std::string_view kWeights = "weights/";

bool finite(const at::Tensor& tensor) { return at::isfinite(tensor).all().item<bool>(); }

/// A kept step: what the task was given, the weights, and the options as texts.
struct Kept {
  explicit Kept(const std::filesystem::path& path)
      : file(path), archive(checkpoint::Archive::open(path)) {
    if (archive.metadata().count("exp.carried") == 0 || archive.find("mel") == nullptr)
      throw Error(fmt::format("{} is not a kept step of a training", file.string()), Exit::kData);
    for (const checkpoint::Entry& entry : archive.entries())
      if (!entry.name.starts_with(kWeights)) batch.tensors[entry.name] = load::to_tensor(entry);
    place = {number("step"), number("epoch")};
    setup.train = recipe::from_text<schema::TrainOptions>(text("train"));
    setup.train.precision = schema::Precision::kFp32;
    setup.train.activation_checkpointing = false;
    setup.seed = static_cast<uint64_t>(number("seed"));
  }
  std::string text(const std::string& name) const {
    const auto found = archive.metadata().find("exp." + name);
    return found == archive.metadata().end() ? "" : found->second;
  }
  int64_t number(const std::string& name) const {
    const std::string value = text(name);
    return value.empty() ? 0 : std::stoll(value);
  }
  /// The section of the stage's options; nullopt where it had none.
  template <class Section>
  std::optional<Section> section(const std::string& name) const {
    const std::string value = text(name);
    if (value.empty()) return std::nullopt;
    return recipe::from_text<Section>(value);
  }

  std::filesystem::path file;
  checkpoint::Archive archive;
  State batch;
  Place place;
  ClipTask::Setup setup;
};

using Lines = std::vector<std::string>;

/// Gives a model the weights of the step; a line for each that is not finite.
void take_weights(model::Model& model, const Kept& kept, Lines& lines) {
  for (const model::NamedTensor& named : model.state()) {
    const checkpoint::Entry* entry = kept.archive.find(std::string(kWeights) + named.name);
    if (entry == nullptr)
      throw Error(fmt::format("{} lacks the weights '{}'", kept.file.string(), named.name),
                  Exit::kData);
    const at::Tensor values = load::to_tensor(*entry);
    copy_into(named.tensor, values, named.name);
    if (!finite(values)) lines.push_back("not finite: weights " + named.name);
  }
  model.require_grad(true);
}

/// A line for each clip: its loss, and the text that follows it.
void say_clips(const Kept& kept, Lines& lines,
               const std::function<std::pair<Loss, std::string>(int64_t)>& loss_of) {
  const int64_t clips = kept.batch.tensor("mel").size(0);
  std::istringstream ids(kept.text("clips"));
  for (int64_t i = 0; i < clips; ++i) {
    std::string id;
    ids >> id;
    const auto [loss, more] = loss_of(i);
    lines.push_back(fmt::format("{}: loss {}{}", id, loss_text(loss.total.item<double>()), more));
  }
}

/// The batch's loss with its parts, and the gradients that are not finite.
void say_batch(const model::Model& model, const Loss& loss, Lines& lines) {
  std::string parts;
  for (const auto& [name, value] : loss.parts)
    parts += fmt::format(", {} {}", name, loss_text(value.item<double>()));
  lines.push_back(
      "loss of the batch, computed again in fp32: " + loss_text(loss.total.item<double>()) + parts);
  torch::autograd::backward({loss.total}, {});
  for (const model::NamedTensor& named : model.parameters())
    if (named.tensor.grad().defined() && !finite(named.tensor.grad()))
      lines.push_back("not finite: gradient of " + named.name);
}

void replay_supervised(const Kept& kept, const load::Carried& carried, Lines& lines) {
  const auto reductions =
      schema::Reductions::made_by([&]<class Options>(std::type_identity<Options>) {
        return kept.section<Options>(std::string(Options::kSection));
      });
  const auto model =
      model::make_model({.options = carried.model,
                         .geometry = carried.geometry,
                         .classes = static_cast<int64_t>(carried.classes.size()),
                         .reductions = reductions,
                         .patchout = kept.section<schema::PatchoutOptions>("patchout"),
                         .draw = false});
  take_weights(*model, kept, lines);
  SupervisedTask task(kept.setup, *model, kept.section<schema::KdOptions>("kd"), nullptr);
  task.restore(kept.batch, kept.place);
  // One pass over all of them: statistics of batch norm are those of the batch.
  const int64_t clips = kept.batch.tensor("mel").size(0);
  const at::Tensor logits = task.logits(0, clips);
  say_clips(kept, lines, [&](int64_t i) {
    const at::Tensor row = logits[i].detach();
    return std::pair(task.loss_of(logits.detach().narrow(0, i, 1), i, 1),
                     fmt::format(", logits {:.4g} .. {:.4g}{}", row.min().item<double>(),
                                 row.max().item<double>(), finite(row) ? "" : "  <- not finite"));
  });
  say_batch(*model, task.loss_of(logits, 0, clips), lines);
}

void replay_pretraining(const Kept& kept, const load::Carried& carried,
                        const schema::PretrainOptions& options, Lines& lines) {
  const auto model = model::make_masked_model(carried.model, carried.geometry, 0, false);
  take_weights(*model, kept, lines);
  PretrainTask task(kept.setup, *model, options);
  task.restore(kept.batch, kept.place);
  say_clips(kept, lines, [&](int64_t i) { return std::pair(task.loss(i, 1), std::string()); });
  say_batch(*model, task.loss(0, kept.batch.tensor("mel").size(0)), lines);
}

}  // namespace

std::vector<std::string> replay(const std::filesystem::path& path) {
  const Kept kept(path);
  Lines lines;
  lines.push_back(fmt::format("step {}, epoch {}: the loss was {}", kept.place.step,
                              kept.place.epoch + 1, kept.text("loss")));
  if (!finite(kept.batch.tensor("mel"))) lines.push_back("not finite: the spectrograms");
  const load::Carried carried = load::parse_carried(kept.text("carried"));
  if (const auto masks = kept.section<schema::PretrainOptions>("pretrain"))
    replay_pretraining(kept, carried, *masks, lines);
  else
    replay_supervised(kept, carried, lines);
  return lines;
}

}  // namespace xp::train
