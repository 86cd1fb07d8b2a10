#include "core/train/replay.h"

#include <optional>
#include <sstream>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>

#include "core/base/error.h"
#include "core/checkpoint/archive.h"
#include "core/model/registry.h"
#include "core/recipe/options_io.h"
#include "core/schema/patchout.h"
#include "core/schema/tome.h"
#include "core/train/archive_io.h"
#include "core/train/evidence.h"
#include "core/train/loss.h"
#include "core/train/state.h"
#include "core/train/weights_file.h"

namespace xp::train {
namespace {

bool finite(const at::Tensor& tensor) { return at::isfinite(tensor).all().item<bool>(); }

struct Evidence {
  explicit Evidence(const std::filesystem::path& path)
      : file(path), archive(checkpoint::Archive::open(path)) {
    if (archive.metadata().count("exp.carried") == 0 || archive.find("mel") == nullptr)
      throw Error(fmt::format("{} is not a kept step of a training on labels", file.string()),
                  Exit::kData);
  }
  at::Tensor tensor(const std::string& name) const {
    const checkpoint::Entry* entry = archive.find(name);
    return entry == nullptr ? at::Tensor() : to_tensor(*entry);
  }
  std::string text(const std::string& name) const {
    const auto found = archive.metadata().find("exp." + name);
    return found == archive.metadata().end() ? "" : found->second;
  }
  uint64_t number(const std::string& name) const {
    const std::string value = text(name);
    return value.empty() ? 0 : std::stoull(value);
  }

  std::filesystem::path file;
  checkpoint::Archive archive;
};

/// The model of the step, with its weights; lines about weights that are not finite.
std::unique_ptr<model::Model> model_of(const Evidence& evidence, std::vector<std::string>& lines) {
  const Carried carried = parse_carried(evidence.text("carried"));
  std::optional<schema::TomeOptions> tome;
  std::optional<schema::PatchoutOptions> patchout;
  if (const std::string text = evidence.text("tome"); !text.empty())
    tome = recipe::from_text<schema::TomeOptions>(text);
  if (const std::string text = evidence.text("patchout"); !text.empty())
    patchout = recipe::from_text<schema::PatchoutOptions>(text);
  auto model =
      model::make_model(carried.model, tome ? &*tome : nullptr, patchout ? &*patchout : nullptr,
                        carried.geometry, static_cast<int64_t>(carried.classes.size()), 0, false);
  for (const model::NamedTensor& named : model->state()) {
    const at::Tensor values = evidence.tensor("weights/" + named.name);
    if (!values.defined())
      throw Error(fmt::format("{} lacks the weights '{}'", evidence.file.string(), named.name),
                  Exit::kData);
    copy_into(named.tensor, values, named.name);
    if (!finite(values)) lines.push_back("not finite: weights " + named.name);
  }
  model->require_grad(true);
  return model;
}

}  // namespace

std::vector<std::string> replay(const std::filesystem::path& path) {
  const Evidence evidence(path);
  std::vector<std::string> lines;
  lines.push_back(fmt::format("step {}, epoch {}: the loss was {}", evidence.text("step"),
                              evidence.number("epoch") + 1, evidence.text("loss")));
  const auto model = model_of(evidence, lines);
  const at::Tensor mel = evidence.tensor("mel");
  if (!finite(mel)) lines.push_back("not finite: the spectrograms");
  const at::Tensor stored = evidence.tensor("positions");
  const std::vector<int64_t> positions(stored.data_ptr<int64_t>(),
                                       stored.data_ptr<int64_t>() + stored.numel());
  model::ForwardContext context;
  context.training = true;
  context.seed = evidence.number("seed");
  context.epoch = evidence.number("epoch");
  context.step = evidence.number("step");
  context.positions = positions;
  const at::Tensor logits = model->forward(mel, context).logits;
  const auto kind = recipe::parse_enum<schema::Loss>(evidence.text("loss_kind"));
  const schema::Loss loss_kind = kind ? *kind : schema::Loss::kBce;
  const at::Tensor labels = evidence.tensor("labels");
  const at::Tensor mask = evidence.tensor("mask");
  std::istringstream ids(evidence.text("clips"));
  for (int64_t i = 0; i < logits.size(0); ++i) {
    std::string id;
    ids >> id;
    const at::Tensor clip_mask = mask.defined() ? mask.narrow(0, i, 1) : mask;
    const at::Tensor loss =
        label_loss(loss_kind, logits.narrow(0, i, 1), labels.narrow(0, i, 1), clip_mask);
    lines.push_back(fmt::format("{}: loss {}, logits {:.4g} .. {:.4g}{}", id,
                                loss_text(loss.item<double>()), logits[i].min().item<double>(),
                                logits[i].max().item<double>(),
                                finite(logits[i]) ? "" : "  <- not finite"));
  }
  const at::Tensor total = label_loss(loss_kind, logits, labels, mask);
  lines.push_back("label loss of the batch, computed again in fp32: " +
                  loss_text(total.item<double>()));
  torch::autograd::backward({total}, {});
  for (const model::NamedTensor& named : model->parameters())
    if (named.tensor.grad().defined() && !finite(named.tensor.grad()))
      lines.push_back("not finite: gradient of " + named.name);
  return lines;
}

}  // namespace xp::train
