#include "core/model/trunk.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <string>

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <fmt/format.h>

#include "core/base/error.h"
#include "core/frontend/to_device.h"
#include "core/model/position.h"

namespace xp::model {
namespace {

/// What is added to the attention logits of each key, [R]; undefined = nothing.
at::Tensor key_bias_of(const Tokens& tokens, bool prop_attn) {
  return tokens.size.defined() && prop_attn ? tokens.size.log() : at::Tensor();
}

/// Parts [b, n, ...] of each group in the order of the batch, filled up to the longest.
at::Tensor restore_padded(const Widths& widths, const std::vector<at::Tensor>& parts, double fill) {
  int64_t longest = 0;
  for (const at::Tensor& part : parts) longest = std::max(longest, part.size(1));
  std::vector<at::Tensor> padded;
  for (const at::Tensor& part : parts) {
    std::vector<int64_t> rest = part.sizes().vec();
    rest[1] = longest - part.size(1);
    padded.push_back(rest[1] == 0 ? part
                                  : at::cat({part, at::full(rest, fill, part.options())}, 1));
  }
  return widths.restore(padded);
}

}  // namespace

Trunk::Trunk(const TrunkOptions& options, const Init& init) : options_(options) {
  TrunkOptions& o = options_;
  XP_CHECK(o.dim % o.heads == 0, "dim is a multiple of heads");
  if (o.hidden == 0) o.hidden = 4 * o.dim;
  if (o.aggregator == Aggregator::kNone) o.head = Head::kNone;
  if (o.special > 0) cls_token_ = init.normal("cls_token", {1, 1, o.dim}, 0.02);
  if (o.special > 1) dist_token_ = init.normal("dist_token", {1, 1, o.dim}, 0.02);
  if (o.special_position && o.special > 0)
    pos_special_ = init.normal("pos.special", {o.special, o.dim}, 0.02);
  if (o.position == PositionKind::kJoint) {
    pos_grid_ = init.normal("pos.grid", {o.grid.f, o.grid.t, o.dim}, 0.02);
  } else {
    pos_freq_ = init.normal("pos.freq", {o.grid.f, o.dim}, 0.02);
    pos_time_ = init.normal("pos.time", {o.grid.t, o.dim}, 0.02);
  }
  proj_ = Linear(o.patch_f * o.patch_t, o.dim, Part::kPatches,
                 init.child("patch_embed").child("proj"), {o.dim, 1, o.patch_f, o.patch_t});
  for (int64_t i = 0; i < o.depth; ++i) {
    blocks_.emplace_back(
        BlockOptions{o.dim, o.heads, o.hidden, o.norm_eps, o.norm_first, o.activation},
        init.child("blocks").child(std::to_string(i)));
  }
  if (o.final_norm) {
    norm_ = Norm(o.dim, o.final_norm_eps > 0 ? o.final_norm_eps : o.norm_eps, init.child("norm"));
  }
  if (o.head == Head::kNone) return;
  if (o.head == Head::kNormLinear)
    head_norm_ = Norm(o.dim, o.head_norm_eps, init.child("head").child("norm"));
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

Widths Trunk::widths(const Input& input) const {
  const TrunkOptions& o = options_;
  const int64_t bins = input.spectrograms.mel.size(1);
  std::vector<int64_t> columns;
  for (const int64_t frames : input.spectrograms.frames) {
    int64_t own = schema::patches_along(frames, o.patch_t, o.stride_t);
    if (own == 0 || schema::patches_along(bins, o.patch_f, o.stride_f) == 0) {
      throw Error(fmt::format("a spectrogram of {} bins x {} frames holds no patch of {} x {}",
                              bins, frames, o.patch_f, o.patch_t),
                  Exit::kData);
    }
    // Longer than a separate embedding: cut.
    if (o.position == PositionKind::kSeparate) own = std::min(own, pos_time_.size(0));
    columns.push_back(own);
  }
  return Widths(columns);
}

at::Tensor Trunk::mel_of(const Input& input, const Widths& widths,
                         const Widths::Group& group) const {
  return widths.mel(input, group, (group.width - 1) * options_.stride_t + options_.patch_t);
}

at::Tensor Trunk::patches(const at::Tensor& mel, Grid& grid) const {
  const TrunkOptions& o = options_;
  grid = {schema::patches_along(mel.size(1), o.patch_f, o.stride_f),
          schema::patches_along(mel.size(2), o.patch_t, o.stride_t)};
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

/// What entered the blocks, of each group: its grid and the places of the patches in it, [1 or b,
/// n].
struct Trunk::Patches {
  std::vector<Grid> grids;
  std::vector<at::Tensor> places;
};

/// Patches with position. In training without those that are dropped, which are not embedded in the
/// first place.
Trunk::Patches Trunk::enter(const Input& input, const Widths& widths, const Pass& pass,
                            Tokens& tokens) const {
  XP_CHECK(pass.patchout == nullptr || widths.groups().size() == 1,
           "given draws are of clips of one width");
  Patches entered;
  std::vector<at::Tensor> raw, where;
  for (const Widths::Group& group : widths.groups()) {
    Grid grid;
    const at::Tensor all = patches(mel_of(input, widths, group), grid);
    PatchoutDraws draws;
    if (pass.training) {
      const int64_t spare =
          options_.position == PositionKind::kSeparate ? pos_time_.size(0) - grid.t : 0;
      draws = pass.patchout != nullptr
                  ? *pass.patchout
                  : draw_patchout(options_.patchout, grid, spare, widths.draws(input, group));
    }
    const at::Tensor places = kept_places(draws, grid);
    at::Tensor positions;
    if (pass.positions_of_widest) {
      positions = position({grid.f, widths.widest()}, draws.time_offset)
                      .unflatten(0, {grid.f, widths.widest()})
                      .narrow(1, 0, grid.t)
                      .flatten(0, 1);
    } else {
      positions = position(grid, draws.time_offset);
    }
    positions = positions.unsqueeze(0);
    if (places.defined() && places.size(0) > 1)
      positions = positions.expand({group.size(), -1, -1});
    const at::Tensor there =
        places.defined() ? frontend::to_device(places, all.device()) : at::Tensor();
    raw.push_back(take_places(all, there));
    where.push_back(take_places(positions, there));
    tokens.runs.push_back({group.size(), raw.back().size(1)});
    entered.grids.push_back(grid);
    entered.places.push_back(places.defined() ? places : at::arange(grid.count()).unsqueeze(0));
  }
  const at::Tensor embedded = embed_patches(as_rows(raw));
  std::vector<at::Tensor> placed;
  for (size_t run = 0; run < where.size(); ++run)
    placed.push_back(tokens.of_run(embedded, run) + where[run]);
  tokens.x = as_rows(placed);
  return entered;
}

void Trunk::prepend_special(Tokens& tokens) const {
  tokens.special = options_.special;
  if (tokens.special == 0) return;
  at::Tensor special = tokens.special > 1 ? at::cat({cls_token_, dist_token_}, 1) : cls_token_;
  if (pos_special_.defined()) special = special + pos_special_;
  special = special.to(tokens.x.scalar_type());
  std::vector<at::Tensor> longer;
  for (size_t run = 0; run < tokens.runs.size(); ++run) {
    longer.push_back(at::cat(
        {special.expand({tokens.runs[run].clips, -1, -1}), tokens.of_run(tokens.x, run)}, 1));
  }
  for (Run& run : tokens.runs) run.tokens += tokens.special;
  tokens.x = as_rows(longer);
}

void Trunk::run_blocks(Tokens& tokens, const DrawKey& draws, const Pass& pass,
                       int64_t depth) const {
  const TrunkOptions& o = options_;
  prepend_special(tokens);
  if (pass.trace) {
    for (const Run& run : tokens.runs)
      tokens.source.push_back(
          at::arange(run.tokens, tokens.x.options().dtype(at::kLong)).repeat({run.clips, 1}));
  }
  const auto noise = pass.training && (o.dropout > 0 || o.drop_path > 0)
                         ? std::make_shared<const Noise>(draws)
                         : std::make_shared<const Noise>();
  tokens.x = noise->dropout(tokens.x, tokens.runs, o.dropout, "embedding", 0);
  const Reducers& reducers = pass.reducers != nullptr ? *pass.reducers : o.reducers;
  const bool proportional = std::any_of(reducers.begin(), reducers.end(),
                                        [](const auto& one) { return one->proportional(); });
  for (int64_t i = 0; i < depth; ++i) {
    const double path =
        o.depth > 1 ? o.drop_path * static_cast<double>(i) / static_cast<double>(o.depth - 1) : 0;
    const auto index = static_cast<size_t>(i);
    blocks_[index].run(tokens, key_bias_of(tokens, proportional), {o.dropout, path, i, noise},
                       reducers, pass.activation_checkpointing);
  }
}

void Trunk::encode(Tokens& tokens, const DrawKey& draws, const Pass& pass) const {
  run_blocks(tokens, draws, pass, options_.depth);
  if (norm_.weight.defined()) tokens.x = norm_(tokens.x);
}

std::optional<int64_t> Trunk::most_frames() const {
  if (options_.position != PositionKind::kSeparate) return std::nullopt;
  return options_.grid.t * options_.stride_t + options_.patch_t - 1;
}

/// What the head reads of the clips of one run, [b, D].
at::Tensor Trunk::aggregate(const Tokens& tokens, size_t run) const {
  const at::Tensor x = tokens.of_run(tokens.x, run);
  switch (options_.aggregator) {
    case Aggregator::kCls:
      return x.select(1, 0);
    case Aggregator::kDist:
      return x.select(1, 1);
    case Aggregator::kClsDist:
      return (x.select(1, 0) + x.select(1, 1)) / 2;
    case Aggregator::kMean: {
      const int64_t skips = options_.mean_skips < 0 ? tokens.special : options_.mean_skips;
      const int64_t patches = x.size(1) - skips;
      const at::Tensor heard = x.narrow(1, skips, patches);
      if (!tokens.size.defined()) return heard.mean(1);
      const at::Tensor size =
          tokens.of_run(tokens.size, run).narrow(1, skips, patches).to(x.scalar_type());
      return (heard * size.unsqueeze(-1)).sum(1) / size.sum(1, true);
    }
    case Aggregator::kNone:
      return {};
  }
  return {};
}

Output Trunk::forward(const Input& input, const Pass& pass) const {
  const Widths widths = this->widths(input);
  Tokens tokens;
  const Patches entered = enter(input, widths, pass, tokens);
  encode(tokens, widths.draws(input), pass);
  const auto of_each = [&](const auto& part) {
    std::vector<at::Tensor> parts;
    for (size_t run = 0; run < tokens.runs.size(); ++run) parts.push_back(part(run));
    return parts;
  };

  Output output;
  output.grid = entered.grids.back();
  if (options_.aggregator != Aggregator::kNone)
    output.embedding = widths.restore(of_each([&](size_t run) { return aggregate(tokens, run); }));
  if (options_.head != Head::kNone) {
    output.logits =
        head_linear_(head_norm_.weight.defined() ? head_norm_(output.embedding) : output.embedding);
  }
  if (pass.want_tokens || !output.embedding.defined()) {
    output.tokens = restore_padded(
        widths, of_each([&](size_t run) { return tokens.of_run(tokens.x, run); }), 0);
    if (!tokens.size.defined() && tokens.runs.size() > 1)
      tokens.size = at::ones({tokens.x.size(0)}, tokens.x.options().dtype(at::kFloat));
    if (tokens.size.defined())
      output.size = restore_padded(
          widths, of_each([&](size_t run) { return tokens.of_run(tokens.size, run); }), 0);
  }
  if (pass.trace) {
    output.source = restore_padded(widths, tokens.source, -1);
    output.places =
        entered.places.size() == 1
            ? entered.places[0]
            : restore_padded(widths, of_each([&](size_t run) {
                               return entered.places[run].expand({tokens.runs[run].clips, -1});
                             }),
                             -1);
  }
  return output;
}

}  // namespace xp::model
