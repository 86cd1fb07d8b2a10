#include "core/cli/compute/bundle_check.h"

#include <string_view>

#include <fmt/format.h>

#include "core/model/trunk.h"
#include "core/schema/arch.h"
#include "core/schema/model.h"

namespace xp::cli {
namespace {

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

// One convolution with its batch norm, for both CNN families.
constexpr std::string_view kConv =
    R"(bn = lambda x, n, eps=1e-3: F.batch_norm(x, *[w[f"{n}.{p}"] for p in ("running_mean", "running_var", "weight", "bias")], False, 0, eps)
def conv(x, n, act=lambda t: t, stride=1):
    k = w[n + ".0.weight"]
    return act(bn(F.conv2d(x, k, None, stride, k.shape[-1] // 2, 1, x.shape[1] // k.shape[1]), n + ".1"))
)";

constexpr std::string_view kMn = R"(x = conv(golden["mel"][:, None], "features.0", F.hardswish, 2)
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
    y = conv(y, f"features.{i}.block.{j}")
    x = x + y if y.shape == x.shape and stride == 1 else y
x = conv(x, "features.16", F.hardswish)
)";

// Of one clip: each kernel is the sum that the clip's own context chooses.
constexpr std::string_view kDymn = R"(def dynamic(x, n, norm, stride=1):
    out = len(w[norm + ".weight"])
    mix = (linear(context, n + ".residuals.0") / w["temperature"]).softmax(-1) @ w[n + ".weight"].flatten(0, 2)
    groups = out if n.endswith("depth_conv") else 1
    size = round((mix.numel() * groups / out / x.shape[1]) ** 0.5)
    return bn(F.conv2d(x, mix.view(out, -1, size, size), None, stride, size // 2, 1, groups), norm)
x = conv(golden["mel"][:, None], "in_c", F.hardswish, 2)
for i, stride in enumerate(STRIDES):
    n, y, act = f"layers.{i}.", x, F.hardswish if i > 5 else F.relu
    if n + "depth_conv.weight" in w:
        both = torch.cat([x.mean(3, True), x.mean(2, True).transpose(2, 3)], 2)  # rows, then columns
        both = F.hardswish(bn(F.conv2d(both, w[n + "context_gen.joint_conv.weight"]), n + "context_gen.joint_norm"))
        rows, columns, context = both[:, :, : x.shape[2]], both[:, :, x.shape[2] :].transpose(2, 3), both.mean((2, 3))
        if stride > 1:
            rows, columns = F.avg_pool2d(rows, (3, 1), (2, 1), (1, 0)), F.avg_pool2d(columns, (1, 3), (1, 2), (0, 1))
        if n + "exp_conv.weight" in w:
            y = act(dynamic(y, n + "exp_conv", n + "exp_norm"))
        y = dynamic(y, n + "depth_conv", n + "depth_norm", stride)
        theta = (2 * linear(context, n + "depth_act.coef_net.0").sigmoid() - 1).unflatten(1, (-1, 4))
        a, b, c, d = (theta * w[n + "depth_act.lambdas"] + w[n + "depth_act.init_v"]).movedim(-1, 0)[..., None, None]
        y = torch.maximum(a * y + c, b * y + d)
        for part, name in ((rows, "conv_f"), (columns, "conv_t")):
            y = y * F.conv2d(part, w[f"{n}context_gen.{name}.weight"], w[f"{n}context_gen.{name}.bias"]).sigmoid()
        y = dynamic(y, n + "proj_conv", n + "proj_norm")
    else:
        last = max(j for j in range(3) if f"{n}block.{j}.0.weight" in w)
        for j in range(last + 1):
            depthwise = w[f"{n}block.{j}.0.weight"].shape[1] == 1
            y = conv(y, f"{n}block.{j}", act if j < last else lambda t: t, stride if depthwise else 1)
    x = x + y if y.shape == x.shape and stride == 1 else y
x = conv(x, "out_c", F.hardswish)
)";

constexpr std::string_view kMlpHead =
    R"(x = linear(F.hardswish(linear(x.mean((2, 3)), "classifier.2")), "classifier.5")
)";
constexpr std::string_view kConvHead =
    R"(x = bn(F.conv2d(x, w["classifier.0.weight"]), "classifier.1", 1e-5).mean((2, 3))
)";
constexpr std::string_view kAttentionHead = R"(heads = w["classifier.head_weight"].shape[1]
x = linear(x.mean(2).transpose(1, 2), "classifier.subspace_proj").unflatten(-1, (2, heads, -1))
share = x[:, :, 0].sigmoid().clamp(1e-7, 1 - 1e-7)  # over time, for each head and class
x = ((share / share.sum(1, True) * x[:, :, 1]).sum(1) * w["classifier.head_weight"]).sum(1)
)";

constexpr std::string_view kEnd =
    R"(error = ((x - golden["logits"]).abs().max() / golden["logits"].abs().max().clamp(1)).item()
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

std::string_view head_of(schema::CnnHead head) {
  switch (head) {
    case schema::CnnHead::kConv:
      return kConvHead;
    case schema::CnnHead::kAttention:
      return kAttentionHead;
    default:
      return kMlpHead;
  }
}

}  // namespace

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
  const bool dynamic = arch.family == schema::Family::k_dymn;
  if (!dynamic && arch.family != schema::Family::k_mn) return "";
  if (open.options.se_dims != "c") return "";
  const auto& s = arch.strides;
  return fmt::format("{}STRIDES = [1, {}, 1, {}, 1, 1, {}, 1, 1, 1, 1, 1, {}, 1, 1]\n{}{}{}{}",
                     kStart, s[0], s[1], s[2], s[3], kConv, dynamic ? kDymn : kMn,
                     head_of(open.options.cnn_head), kEnd);
}

}  // namespace xp::cli
