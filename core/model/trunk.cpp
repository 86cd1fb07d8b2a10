#include "core/model/trunk.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <numeric>
#include <string>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include "core/base/error.h"
#include "core/model/clip_positions.h"
#include "core/model/position.h"

namespace xp::model {
namespace {

constexpr double kHeadNormEps = 1e-5;

/// What is added to the attention logits of each key, [B, N]; undefined = nothing.
at::Tensor key_bias_of(const Tokens& tokens, bool prop_attn) {
  if (!tokens.size.defined() || (!prop_attn && tokens.valid.empty())) return {};
  const at::NoGradGuard no_grad;
  if (prop_attn) return tokens.size.log();  // padding has size 0: -inf, not seen
  return at::zeros_like(tokens.size)
      .masked_fill_(tokens.size <= 0, -std::numeric_limits<double>::infinity());
}

}  // namespace

Trunk::Trunk(const TrunkOptions& options, const Init& init) : options_(options) {
  TrunkOptions& o = options_;
  XP_CHECK(o.dim % o.heads == 0, "dim is a multiple of heads");
  if (o.hidden == 0) o.hidden = 4 * o.dim;
  if (o.aggregator == Aggregator::kNone) o.head = Head::kNone;
  cls_token_ = init.normal("cls_token", {1, 1, o.dim}, 0.02);
  dist_token_ = init.normal("dist_token", {1, 1, o.dim}, 0.02);
  if (o.special_position) pos_special_ = init.normal("pos.special", {2, o.dim}, 0.02);
  if (o.position == PositionKind::kJoint) {
    pos_grid_ = init.normal("pos.grid", {o.grid.f, o.grid.t, o.dim}, 0.02);
  } else {
    pos_freq_ = init.normal("pos.freq", {o.grid.f, o.dim}, 0.02);
    pos_time_ = init.normal("pos.time", {o.grid.t, o.dim}, 0.02);
  }
  proj_ = Linear(o.patch_f * o.patch_t, o.dim, Part::kPatches,
                 init.child("patch_embed").child("proj"), {o.dim, 1, o.patch_f, o.patch_t});
  for (int64_t i = 0; i < o.depth; ++i) {
    blocks_.emplace_back(o.dim, o.heads, o.hidden, o.norm_eps,
                         init.child("blocks").child(std::to_string(i)));
  }
  norm_ = Norm(o.dim, o.norm_eps, init.child("norm"));
  if (o.head == Head::kNone) return;
  if (o.head == Head::kNormLinear)
    head_norm_ = Norm(o.dim, kHeadNormEps, init.child("head").child("norm"));
  head_linear_ = Linear(o.dim, o.classes, Part::kHead, init.child("head").child("linear"));
}

void Trunk::members(Members& list) {
  list.parameter("cls_token", cls_token_);
  list.parameter("dist_token", dist_token_);
  list.parameter("pos.special", pos_special_);
  list.parameter("pos.grid", pos_grid_);
  list.parameter("pos.freq", pos_freq_);
  list.parameter("pos.time", pos_time_);
  list.child("patch_embed.proj", proj_);
  list.children("blocks", blocks_);
  list.child("norm", norm_);
  list.child("head.norm", head_norm_);
  list.child("head.linear", head_linear_);
}

Placement Trunk::placement(std::string_view parameter) const {
  constexpr std::string_view kBlocks = "blocks.";
  if (parameter.substr(0, kBlocks.size()) == kBlocks) {
    int64_t block = 0;
    std::from_chars(parameter.data() + kBlocks.size(), parameter.data() + parameter.size(), block);
    return {block + 1, false};
  }
  if (parameter.substr(0, 5) == "head.") return {options_.depth + 1, true};
  if (parameter.substr(0, 5) == "norm.") return {options_.depth + 1, false};
  return {0, false};
}

void Trunk::apply_freezing() {
  require_grad(true);
  if (options_.freeze_blocks == 0) return;
  for (NamedTensor& entry : parameters()) {
    if (placement(entry.name).layer <= options_.freeze_blocks)
      entry.tensor.set_requires_grad(false);
  }
}

at::Tensor Trunk::patches(const at::Tensor& mel, Grid& grid) const {
  const TrunkOptions& o = options_;
  grid = {schema::patches_along(mel.size(1), o.patch_f, o.stride_f),
          schema::patches_along(mel.size(2), o.patch_t, o.stride_t)};
  if (grid.count() == 0) {
    throw Error(fmt::format("a spectrogram of {} bins x {} frames holds no patch of {} x {}",
                            mel.size(1), mel.size(2), o.patch_f, o.patch_t),
                Exit::kData);
  }
  return mel.unfold(1, o.patch_f, o.stride_f)
      .unfold(2, o.patch_t, o.stride_t)
      .reshape({mel.size(0), grid.count(), o.patch_f * o.patch_t});
}

at::Tensor Trunk::embed_patches(const at::Tensor& patches) const {
  return proj_(patches).to(patches.scalar_type());  // the residual stream is as wide as the input
}

at::Tensor Trunk::position(Grid grid, int64_t offset) const {
  if (options_.position == PositionKind::kJoint) {
    return fit_grid(pos_grid_, grid).reshape({grid.count(), options_.dim});
  }
  if (grid.f != pos_freq_.size(0)) {
    throw Error(fmt::format("{} rows of patches, but the frequency embedding has {}", grid.f,
                            pos_freq_.size(0)));
  }
  const at::Tensor time = pos_time_.narrow(0, offset, grid.t);
  return (pos_freq_.unsqueeze(1) + time.unsqueeze(0)).reshape({grid.count(), options_.dim});
}

void Trunk::prepend_special(Tokens& tokens) const {
  at::Tensor special = at::cat({cls_token_, dist_token_}, 1);
  if (pos_special_.defined()) special = special + pos_special_;
  tokens.special = 2;
  tokens.x =
      at::cat({special.to(tokens.x.scalar_type()).expand({tokens.batch(), -1, -1}), tokens.x}, 1);
}

void Trunk::keep_valid(Tokens& tokens, const ForwardContext& context) const {
  const int64_t batch = tokens.batch(), count = tokens.count(), special = tokens.special;
  XP_CHECK(static_cast<int64_t>(context.lengths.size()) == batch, "one length a clip");
  const at::Tensor places =
      tokens.places.defined() ? tokens.places : at::arange(tokens.grid.count()).unsqueeze(0);
  const int64_t patches = places.size(1);
  at::Tensor order = at::empty({batch, count}, at::kLong);
  at::Tensor size = at::zeros({batch, count}, at::kFloat);
  at::Tensor moved = at::empty({batch, patches}, at::kLong);
  std::vector<int64_t> valid;
  for (int64_t clip = 0; clip < batch; ++clip) {
    const int64_t columns =
        std::max<int64_t>(1, schema::patches_along(context.lengths[static_cast<size_t>(clip)],
                                                   options_.patch_t, options_.stride_t));
    const int64_t* const place =
        places.const_data_ptr<int64_t>() + (places.size(0) == 1 ? 0 : clip * patches);
    int64_t* const to = order.mutable_data_ptr<int64_t>() + clip * count;
    std::iota(to, to + count, int64_t{0});
    const auto sound = [&](int64_t token) {
      return token < special || place[token - special] % tokens.grid.t < columns;
    };
    const int64_t own = std::stable_partition(to, to + count, sound) - to;
    std::fill_n(size.mutable_data_ptr<float>() + clip * count, own, 1.0F);
    int64_t* const row = moved.mutable_data_ptr<int64_t>() + clip * patches;
    for (int64_t i = 0; i < patches; ++i) row[i] = place[to[i + special] - special];
    valid.push_back(own);
  }
  const int64_t longest = *std::max_element(valid.begin(), valid.end());
  if (*std::min_element(valid.begin(), valid.end()) == count) return;
  tokens.places = moved.narrow(1, 0, longest - special).contiguous();
  const at::Tensor index = order.narrow(1, 0, longest).to(tokens.x.device()).unsqueeze(-1);
  tokens.x = tokens.x.gather(1, index.expand({-1, -1, tokens.x.size(2)}));
  if (std::all_of(valid.begin(), valid.end(), [&](int64_t own) { return own == longest; })) return;
  tokens.size = size.narrow(1, 0, longest).contiguous().to(tokens.x.device());
  tokens.valid = valid;
}

void Trunk::run_blocks(Tokens& tokens, const ForwardContext& context, int64_t depth) const {
  const TrunkOptions& o = options_;
  prepend_special(tokens);
  if (!context.lengths.empty()) keep_valid(tokens, context);
  if (context.trace) {
    tokens.source =
        at::arange(tokens.count(), tokens.x.options().dtype(at::kLong)).repeat({tokens.batch(), 1});
  }
  const std::vector<int64_t> positions = positions_of(context, tokens.batch());
  const auto noise = context.training && (o.dropout > 0 || o.drop_path > 0)
                         ? std::make_shared<const Noise>(
                               DrawKey{context.seed, context.epoch, context.step, positions})
                         : std::make_shared<const Noise>();
  tokens.x = noise->dropout(tokens.x, o.dropout, "embedding", 0);
  const TomeSettings& tome = context.tome != nullptr ? *context.tome : o.tome;
  for (int64_t i = 0; i < depth; ++i) {
    const double path =
        o.depth > 1 ? o.drop_path * static_cast<double>(i) / static_cast<double>(o.depth - 1) : 0;
    const auto index = static_cast<size_t>(i);
    const Reduction reduction{index < tome.r.size() ? tome.r[index] : 0, &tome};
    blocks_[index].run(tokens, key_bias_of(tokens, tome.prop_attn), {o.dropout, path, i, noise},
                       reduction, context.activation_checkpointing);
  }
}

void Trunk::encode(Tokens& tokens, const ForwardContext& context) const {
  run_blocks(tokens, context, options_.depth);
  tokens.x = norm_(tokens.x);
}

at::Tensor Trunk::aggregate(const Tokens& tokens) const {
  switch (options_.aggregator) {
    case Aggregator::kCls:
      return tokens.x.select(1, 0);
    case Aggregator::kDist:
      return tokens.x.select(1, 1);
    case Aggregator::kClsDist:
      return (tokens.x.select(1, 0) + tokens.x.select(1, 1)) / 2;
    case Aggregator::kMean: {
      const at::Tensor x = tokens.x.narrow(1, tokens.special, tokens.count() - tokens.special);
      if (!tokens.size.defined()) return x.mean(1);
      const at::Tensor size = tokens.size.narrow(1, tokens.special, x.size(1)).to(x.scalar_type());
      return (x * size.unsqueeze(-1)).sum(1) / size.sum(1, true);
    }
    case Aggregator::kNone:
      return {};
  }
  return {};
}

Output Trunk::forward(const at::Tensor& mel, const ForwardContext& context) const {
  Tokens tokens;
  at::Tensor raw = patches(mel, tokens.grid);
  int64_t spare = 0;
  if (options_.position == PositionKind::kSeparate && tokens.grid.t != pos_time_.size(0)) {
    spare = pos_time_.size(0) - tokens.grid.t;
    if (spare < 0) {  // longer than the embedding: cut
      tokens.grid.t = pos_time_.size(0);
      raw = raw.view({raw.size(0), tokens.grid.f, -1, raw.size(2)})
                .narrow(2, 0, tokens.grid.t)
                .reshape({raw.size(0), tokens.grid.count(), raw.size(2)});
      spare = 0;
    }
  }
  PatchoutDraws draws;
  if (context.training) {
    const std::vector<int64_t> positions = positions_of(context, mel.size(0));
    draws = context.patchout != nullptr
                ? *context.patchout
                : draw_patchout(options_.patchout, tokens.grid, spare,
                                {context.seed, context.epoch, context.step, positions});
  }
  // Patches that are dropped are not embedded in the first place.
  tokens.places = kept_places(draws, tokens.grid);
  const at::Tensor where = position(tokens.grid, draws.time_offset).unsqueeze(0);
  tokens.x = embed_patches(take_places(raw, tokens.places)) +
             (tokens.places.defined() && tokens.places.size(0) > 1
                  ? take_places(where.expand({mel.size(0), -1, -1}), tokens.places)
                  : take_places(where, tokens.places));
  encode(tokens, context);

  Output output;
  output.grid = tokens.grid;
  output.embedding = aggregate(tokens);
  if (options_.head != Head::kNone) {
    output.logits =
        head_linear_(head_norm_.weight.defined() ? head_norm_(output.embedding) : output.embedding);
  }
  output.size = tokens.size;
  if (context.want_tokens || !output.embedding.defined()) output.tokens = tokens.x;
  if (context.trace) {
    output.places =
        tokens.places.defined() ? tokens.places : at::arange(tokens.grid.count()).unsqueeze(0);
    output.source = tokens.source;
  }
  return output;
}

}  // namespace xp::model
