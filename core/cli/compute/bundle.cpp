#include "core/cli/compute/bundle.h"

#include <sstream>
#include <string>

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/checkpoint/archive.h"
#include "core/graph/manifest.h"
#include "core/model/archive_tensors.h"
#include "core/model/init.h"
#include "core/model/trunk.h"
#include "core/recipe/options_io.h"
#include "core/train/weights_file.h"

namespace xp::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kStart =
    R"("""Computes the logits of golden.safetensors from model.safetensors with torch alone: python check.py"""
from pathlib import Path
import torch, torch.nn.functional as F
from safetensors.torch import load_file
w, golden = (load_file(Path(__file__).parent / f"{name}.safetensors") for name in ("model", "golden"))
linear = lambda x, n: F.linear(x, w[n + ".weight"], w[n + ".bias"])
)";

constexpr std::string_view kTrunk =
    R"(norm = lambda x, n, eps={eps}: F.layer_norm(x, x.shape[-1:], w[n + ".weight"], w[n + ".bias"], eps)
x = F.conv2d(golden["mel"][:, None], w["patch_embed.proj.weight"], w["patch_embed.proj.bias"], ({sf}, {st}))
pos = w["pos.grid"] if "pos.grid" in w else w["pos.freq"][:, None] + w["pos.time"][None, : x.shape[3]]
x = (x.permute(0, 2, 3, 1)[:, :, : pos.shape[1]] + pos).flatten(1, 2)  # patches, frequency-major
x = torch.cat([(torch.cat([w["cls_token"], w["dist_token"]], 1) + w.get("pos.special", 0)).expand(len(x), -1, -1), x], 1)
for n in [f"blocks.{{i}}." for i in range({depth})]:
    q, k, v = linear(norm(x, n + "norm1"), n + "attn.qkv").unflatten(-1, (3, {heads}, -1)).permute(2, 0, 3, 1, 4)
    x = x + linear(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2), n + "attn.proj")
    x = x + linear(F.gelu(linear(norm(x, n + "norm2"), n + "mlp.fc1")), n + "mlp.fc2")
x = norm(x, "norm"){pool}
x = linear(norm(x, "head.norm", 1e-5) if "head.norm.weight" in w else x, "head.linear")
)";

constexpr std::string_view kMn = R"(def conv(x, n, act, stride=1):
    k, bn = w[n + ".0.weight"], [w[f"{n}.1.{p}"] for p in ("running_mean", "running_var", "weight", "bias")]
    return act(F.batch_norm(F.conv2d(x, k, None, stride, k.shape[-1] // 2, 1, x.shape[1] // k.shape[1]), *bn, False, 0, 1e-3))
x = conv(golden["mel"][:, None], "features.0", F.hardswish, 2)
for i, stride in enumerate(STRIDES, 1):
    y, act, j = x, F.hardswish if i > 6 else F.relu, 0
    while f"features.{i}.block.{j + 1}.0.weight" in w or f"features.{i}.block.{j + 1}.conc_se_layers.0.fc1.weight" in w:
        n = f"features.{i}.block.{j}"
        if n + ".0.weight" in w:  # expansion or depthwise
            y = conv(y, n, act, stride if w[n + ".0.weight"].shape[1] == 1 else 1)
        else:
            s = n + ".conc_se_layers.0."
            y = y * torch.sigmoid(linear(F.relu(linear(y.mean((2, 3)), s + "fc1")), s + "fc2"))[:, :, None, None]
        j += 1
    y = conv(y, f"features.{i}.block.{j}", lambda t: t)
    x = x + y if y.shape == x.shape and stride == 1 else y
x = conv(x, "features.16", F.hardswish).mean((2, 3))
x = linear(F.hardswish(linear(x, "classifier.2")), "classifier.5")
)";

constexpr std::string_view kEnd = R"(error = (x - golden["logits"]).abs().max().item()
print(f"largest difference {error:.1e}")
raise SystemExit(not error < 1e-3)
)";

std::string pool_of(schema::Aggregator aggregator) {
  switch (aggregator) {
    case schema::Aggregator::kClsDist:
      return "[:, :2].mean(1)";
    case schema::Aggregator::kCls:
      return "[:, 0]";
    case schema::Aggregator::kDist:
      return "[:, 1]";
    default:
      return "[:, 2:].mean(1)";
  }
}

/// "" where no short program computes the model.
std::string check_program(const train::OpenModel& open) {
  if (const auto* trunk = dynamic_cast<const model::Trunk*>(open.model.get())) {
    const model::TrunkOptions& o = trunk->options();
    return std::string(kStart) +
           fmt::format(fmt::runtime(kTrunk), fmt::arg("eps", o.norm_eps),
                       fmt::arg("sf", o.stride_f), fmt::arg("st", o.stride_t),
                       fmt::arg("depth", o.depth), fmt::arg("heads", o.heads),
                       fmt::arg("pool", pool_of(o.aggregator))) +
           std::string(kEnd);
  }
  const schema::Arch arch = open.options.resolved();
  if (arch.family != schema::Family::k_mn || open.options.cnn_head != schema::CnnHead::kMlp)
    return "";
  const auto& s = arch.strides;
  return std::string(kStart) +
         fmt::format("STRIDES = [1, {}, 1, {}, 1, 1, {}, 1, 1, 1, 1, 1, {}, 1, 1]\n", s[0], s[1],
                     s[2], s[3]) +
         std::string(kMn) + std::string(kEnd);
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\n") == text.npos) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

std::string label_csv(const train::OpenModel& open) {
  std::string text = "index,mid,display_name\n";
  for (size_t k = 0; k < open.classes.size(); ++k) {
    text += fmt::format("{},{},{}\n", k, csv_field(open.classes[k].first),
                        csv_field(open.classes[k].second));
  }
  return text;
}

/// The result keys of the training that left the checkpoint ("train.epochs = 5" a line), "" for one
/// that is not in its stage's folder.
std::string training_of(const train::OpenModel& open) {
  const fs::path manifest = open.folder / "manifest.json";
  if (open.folder.empty() || !fs::exists(manifest)) return "";
  return graph::parse_manifest(read_file(manifest), manifest).options;
}

/// The training that made the model, as far as it is known, with the bundle's own weights as start:
/// paths of another machine and outputs of other stages are left out.
std::string bundle_recipe(const train::OpenModel& open) {
  std::string text;
  const std::string training = training_of(open);
  std::istringstream lines(training);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("model.") || line.starts_with("frontend.")) continue;
    if (line.find("<path>") != line.npos || line.find("<stage>") != line.npos) continue;
    text += (line.starts_with("seed = ") ? "experiment." : "") + line + "\n";
  }
  schema::ModelOptions model = open.options;
  model.weights = "model.safetensors";
  return text + fmt::format("[model]\n{}\n[frontend]\n{}{}", recipe::to_text(model),
                            recipe::to_text(open.frontend),
                            training.empty() ? "" : "\n[stages.train]\ndo = \"train\"\n");
}

}  // namespace

void write_bundle(const fs::path& folder, const train::OpenModel& open) {
  if (open.model->classes() == 0)
    throw Error(
        fmt::format("{} has no classifier, so a bundle would have no logits to check", open.name));
  if (fs::exists(folder)) throw Error(fmt::format("{} is there already", folder.string()));
  const fs::path building = folder.string() + ".tmp";
  fs::remove_all(building);
  fs::create_directories(building);
  train::Carried carried;
  carried.model = open.options;
  carried.frontend = open.frontend;
  carried.geometry = open.geometry;
  carried.classes = open.classes;
  train::write_weights(building, "model", *open.model, carried);
  write_file_atomic(building / "recipe.toml", bundle_recipe(open));
  write_file_atomic(building / "labels.csv", label_csv(open));

  const at::NoGradGuard no_grad;
  // Values like those of normalised spectrograms: mean 0, deviation 1/2.
  const at::Tensor mel =
      model::Init(1).normal("golden", {1, open.geometry.F, open.geometry.T}, 0.5).detach();
  const at::Tensor logits = open.model->forward(mel, {}).logits;
  checkpoint::Archive golden;
  golden.add(model::to_entry("mel", mel));
  golden.add(model::to_entry("logits", logits));
  golden.write_safetensors(building / "golden.safetensors");
  const std::string program = check_program(open);
  if (!program.empty()) write_file_atomic(building / "check.py", program);
  if (!publish_folder(building, folder))
    throw Error(fmt::format("{} is there already", folder.string()));
}

}  // namespace xp::cli
