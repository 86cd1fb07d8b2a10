#include "core/cli/compute/bundle_check.h"

#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/model/trunk.h"
#include "core/schema/arch.h"
#include "core/schema/cnn.h"
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
{special}for n in [f"blocks.{{i}}." for i in range({depth})]:
{block}x = (norm(x, "norm", {final_eps}) if "norm.weight" in w else x){pool}
x = linear(norm(x, "head.norm", {head_eps}) if "head.norm.weight" in w else x, "head.linear")
)";

constexpr std::string_view kSpecial =
    R"(x = torch.cat([(torch.cat([w[n] for n in ("cls_token", "dist_token") if n in w], 1) + w.get("pos.special", 0)).expand(len(x), -1, -1), x], 1)
)";

// A block whose norms stand before its parts, and one whose norms stand after their sums.
constexpr std::string_view kNormFirst =
    R"(    q, k, v = linear(norm(x, n + "norm1"), n + "attn.qkv").unflatten(-1, (3, {heads}, -1)).permute(2, 0, 3, 1, 4)
    x = x + linear(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2), n + "attn.proj")
    x = x + linear(F.{activation}(linear(norm(x, n + "norm2"), n + "mlp.fc1")), n + "mlp.fc2")
)";
constexpr std::string_view kNormLast =
    R"(    q, k, v = linear(x, n + "attn.qkv").unflatten(-1, (3, {heads}, -1)).permute(2, 0, 3, 1, 4)
    mixed = linear(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2), n + "attn.proj")
    x = norm(x + mixed, n + "norm1")
    x = norm(x + linear(F.{activation}(linear(x, n + "mlp.fc1")), n + "mlp.fc2"), n + "norm2")
)";

// One convolution with its batch norm, for both CNN families.
constexpr std::string_view kConv =
    R"(bn = lambda x, n, eps=1e-3: F.batch_norm(x, *[w[f"{n}.{p}"] for p in ("running_mean", "running_var", "weight", "bias")], False, 0, eps)
def conv(x, n, act=lambda t: t, stride=1, spread=1):
    k = w[n + ".0.weight"]
    return act(bn(F.conv2d(x, k, None, stride, k.shape[-1] // 2 * spread, spread, x.shape[1] // k.shape[1]), n + ".1"))
)";

constexpr std::string_view kMn = R"(x = conv(golden["mel"][:, None], "features.0", F.hardswish, 2)
for i, (stride, spread) in enumerate(zip(STRIDES, SPREADS), 1):
    step = 1 if spread > 1 else stride
    y, act, j = x, F.hardswish if i > 6 else F.relu, 0
    while f"features.{i}.block.{j + 1}.0.weight" in w or f"features.{i}.block.{j + 1}.conc_se_layers.0.fc1.weight" in w:
        n = f"features.{i}.block.{j}"
        if n + ".0.weight" in w:  # expansion or depthwise
            y = conv(y, n, act, *((step, spread) if w[n + ".0.weight"].shape[1] == 1 else ()))
        else:
            s = n + ".conc_se_layers.0."
            y = y * torch.sigmoid(linear(F.relu(linear(y.mean((2, 3)), s + "fc1")), s + "fc2"))[:, :, None, None]
        j += 1
    y = conv(y, f"features.{i}.block.{j}")
    x = x + y if y.shape == x.shape and stride == 1 else y
x = conv(x, "features.16", F.hardswish)
)";

// Of one clip: each kernel is the sum that the clip's own context chooses.
constexpr std::string_view kDymn = R"(def dynamic(x, n, norm, stride=1, spread=1):
    out = len(w[norm + ".weight"])
    groups = out if n.endswith("depth_conv") else 1
    if n + ".weight" in w:
        mix = (linear(context, n + ".residuals.0") / w["temperature"]).softmax(-1) @ w[n + ".weight"].flatten(0, 2)
        size = round((mix.numel() * groups / out / x.shape[1]) ** 0.5)
        k = mix.view(out, -1, size, size)
    else:
        k = w[n + ".module.weight"]
    return bn(F.conv2d(x, k, None, stride, k.shape[-1] // 2 * spread, spread, groups), norm)
x = conv(golden["mel"][:, None], "in_c", F.hardswish, 2)
for i, (stride, spread) in enumerate(zip(STRIDES, SPREADS)):
    step = 1 if spread > 1 else stride
    n, y, act = f"layers.{i}.", x, F.hardswish if i > 5 else F.relu
    if n + "context_gen.joint_conv.weight" in w:
        both = torch.cat([x.mean(3, True), x.mean(2, True).transpose(2, 3)], 2)  # rows, then columns
        both = F.hardswish(bn(F.conv2d(both, w[n + "context_gen.joint_conv.weight"]), n + "context_gen.joint_norm"))
        rows, columns, context = both[:, :, : x.shape[2]], both[:, :, x.shape[2] :].transpose(2, 3), both.mean((2, 3))
        if step > 1:
            rows, columns = F.avg_pool2d(rows, (3, 1), (2, 1), (1, 0)), F.avg_pool2d(columns, (1, 3), (1, 2), (0, 1))
        if n + "exp_norm.weight" in w:
            y = act(dynamic(y, n + "exp_conv", n + "exp_norm"))
        y = dynamic(y, n + "depth_conv", n + "depth_norm", step, spread)
        if n + "depth_act.lambdas" in w:
            reach = w[n + "depth_act.lambdas"]
            theta = (2 * linear(context, n + "depth_act.coef_net.0").sigmoid() - 1).unflatten(1, (-1, len(reach)))
            slopes, offsets = (theta * reach + w[n + "depth_act.init_v"]).movedim(-1, 0)[..., None, None].chunk(2)
            y = (slopes * y + offsets).amax(0)
        else:
            y = act(y)
        for part, name in ((rows, "conv_f"), (columns, "conv_t"))[: 2 * ATTENTION]:
            y = y * F.conv2d(part, w[f"{n}context_gen.{name}.weight"], w[f"{n}context_gen.{name}.bias"]).sigmoid()
        y = dynamic(y, n + "proj_conv", n + "proj_norm")
    else:
        last = max(j for j in range(3) if f"{n}block.{j}.0.weight" in w)
        for j in range(last + 1):
            depthwise = w[f"{n}block.{j}.0.weight"].shape[1] == 1
            y = conv(y, f"{n}block.{j}", act if j < last else lambda t: t, *((step, spread) if depthwise else ()))
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

std::string pool_of(const model::TrunkOptions& o) {
  switch (o.aggregator) {
    case schema::Aggregator::kClsDist:
      return "[:, :2].mean(1)";
    case schema::Aggregator::kCls:
      return "[:, 0]";
    case schema::Aggregator::kDist:
      return "[:, 1]";
    default:
      return fmt::format("[:, {}:].mean(1)", o.mean_skips < 0 ? o.special : o.mean_skips);
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

std::string check_program(const load::OpenModel& open) {
  if (const auto* trunk = dynamic_cast<const model::Trunk*>(open.model.get())) {
    const model::TrunkOptions& o = trunk->options();
    const std::string block =
        fmt::format(fmt::runtime(o.norm_first ? kNormFirst : kNormLast), fmt::arg("heads", o.heads),
                    fmt::arg("activation", recipe::enum_name(o.activation)));
    return std::string(kStart) +
           fmt::format(fmt::runtime(kTrunk), fmt::arg("eps", o.norm_eps),
                       fmt::arg("special", o.special > 0 ? kSpecial : ""), fmt::arg("block", block),
                       fmt::arg("final_eps", o.final_norm_eps > 0 ? o.final_norm_eps : o.norm_eps),
                       fmt::arg("head_eps", o.head_norm_eps), fmt::arg("sf", o.stride_f),
                       fmt::arg("st", o.stride_t), fmt::arg("depth", o.depth),
                       fmt::arg("pool", pool_of(o))) +
           std::string(kEnd);
  }
  const schema::Arch arch = open.options.resolved();
  const bool dynamic = arch.family == schema::Family::k_dymn;
  if (!dynamic && arch.family != schema::Family::k_mn) return "";
  if (open.options.se_dims != "c" && open.options.se_dims != "none") return "";
  std::vector<int64_t> strides, spreads;
  for (const schema::CnnStage& s : schema::cnn_stages(
           arch.width, arch.strides, open.options.reduced_tail, open.options.dilated)) {
    strides.push_back(s.stride);
    spreads.push_back(s.dilation);
  }
  return fmt::format("{}STRIDES = [{}]\nSPREADS = [{}]\nATTENTION = {}\n{}{}{}{}", kStart,
                     fmt::join(strides, ", "), fmt::join(spreads, ", "), open.options.no_ca ? 0 : 1,
                     kConv, dynamic ? kDymn : kMn, head_of(open.options.cnn_head), kEnd);
}

}  // namespace xp::cli
