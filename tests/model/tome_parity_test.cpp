// Token merging against ToMe's outputs: every case of model/tome.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "core/model/reduce/tome.h"
#include "core/model/trunk.h"
#include "tests/model/originals.h"
#include "tests/testing/tensors.h"

namespace xp::model {
namespace {

using testing::Case;
using testing::floats_of;
using testing::integers_of;
using testing::Report;
using testing::tensor_of;

/// [B, N', N0] 0/1 from the map [B, N0].
at::Tensor adjacency(const at::Tensor& source, int64_t after) {
  return at::one_hot(source, after).transpose(1, 2);
}

at::Tensor identity_source(const at::Tensor& x) {
  return at::arange(x.size(1), at::kLong).repeat({x.size(0), 1});
}

/// ToMe's own unmerge takes the tokens for [unmerged A, B] even where the distillation token was
/// moved to the front; ours undoes that move. For the comparison: the map in ToMe's order.
Match tome_order(const Match& match) {
  Match plain = match;
  const int64_t kept = match.unmerged.size(1), batch = match.target.size(0);
  at::Tensor a = at::empty({batch, (match.before + 1) / 2}, at::kLong);
  a.scatter_(1, match.unmerged, at::arange(kept, at::kLong).expand({batch, -1}));
  a.scatter_(1, match.merged_from, match.merged_into + kept);
  plain.target = at::empty_like(match.target);
  plain.target.slice(1, 0, c10::nullopt, 2).copy_(a);
  plain.target.slice(1, 1, c10::nullopt, 2).copy_(at::arange(match.before / 2, at::kLong) + kept);
  return plain;
}

void matching(const Case& c, Report& report) {
  const Protect protect{c.json.at("class_token"), c.json.at("distill_token")};
  const at::Tensor metric = tensor_of(c.at("input/metric"));
  const at::Tensor x = tensor_of(c.at("input/x"));
  const at::Tensor size = tensor_of(c.at("input/size")).squeeze(-1);
  for (const int64_t r : c.json.at("r_list")) {
    const std::string base = "output/r_" + std::to_string(r) + "/";
    const Match match = match_tokens(metric, r, protect);
    report.compare_value(base + "effective_r", static_cast<double>(match.before - match.after),
                         c.json.at("effective_r").at(std::to_string(r)));
    const auto [merged, merged_size] = merge_tokens(x, {}, match);
    const auto [sized, sized_size] = merge_tokens(x, size, match);
    report.compare(base + "merged", floats_of(merged));
    report.compare(base + "merged_size", floats_of(merged_size));
    report.compare(base + "merged_sized", floats_of(sized));
    report.compare(base + "merged_sized_size", floats_of(sized_size));
    const at::Tensor source = trace_source(identity_source(x), match);
    report.compare(base + "source", integers_of(adjacency(source, match.after)));
    if (match.after == match.before) continue;
    report.compare(base + "unm_idx", integers_of(match.unmerged));
    report.compare(base + "src_idx", integers_of(match.merged_from));
    report.compare(base + "dst_idx", integers_of(match.merged_into));
    report.compare(base + "unmerged", floats_of(unmerge_tokens(merged, tome_order(match))));
    const Match second = match_tokens(merged.narrow(2, 0, metric.size(2)),
                                      c.json.at("step2_r").at(std::to_string(r)), protect);
    const auto [again, again_size] = merge_tokens(merged, merged_size, second);
    report.compare(base + "merged_step2", floats_of(again));
    report.compare(base + "merged_step2_size", floats_of(again_size));
    report.compare(base + "source_step2",
                   integers_of(adjacency(trace_source(source, second), second.after)));
  }
}

void ties(const Case& c, Report& report) {
  const at::Tensor metric = tensor_of(c.at("input/metric"));
  const Match match = match_tokens(metric, c.json.at("r_list").at(0),
                                   {c.json.at("class_token"), c.json.at("distill_token")});
  const auto [merged, size] = merge_tokens(metric, {}, match);
  report.compare("output/n_tokens", std::vector<int64_t>{merged.size(1)});
  report.compare("output/size_sum", floats_of(size.sum(1)));
  report.compare("output/weighted_sum", floats_of((merged * size.unsqueeze(-1)).sum(1)));
}

void every_kth(const Case& c, Report& report) {
  const at::Tensor metric = tensor_of(c.at("input/metric"));
  const Match match = match_every_kth(metric, c.json.at("k"));
  const auto [merged, size] = merge_tokens(metric, {}, match);
  report.compare("output/merged", floats_of(merged));
  report.compare("output/merged_size", floats_of(size));
  Match kept = match;
  kept.target = match.target.narrow(1, 0, match.after * c.json.at("k").get<int64_t>());
  report.compare("output/unmerged", floats_of(unmerge_tokens(merged, kept)));
}

/// r of the originals: a number, a list, or a pair (number, inflection).
std::vector<int64_t> schedule_of(const nlohmann::json& r, const std::string& kind, int64_t layers) {
  schema::TomeOptions tome;
  if (kind == "list") {
    tome.r = {true, 0, r.get<std::vector<int64_t>>()};
  } else if (kind == "tuple") {
    tome.r.value = r.at(0);
    tome.inflection = r.at(1);
  } else if (kind == "int") {
    tome.r.value = r;
  } else {
    throw std::runtime_error("a schedule of unknown kind " + kind);
  }
  return tome.plan(layers);
}

void schedules(const Case& c, Report& report) {
  for (const auto& entry : c.json.at("cases")) {
    report.compare("output/case_" + std::to_string(entry.at("index").get<int64_t>()),
                   schedule_of(entry.at("r"), entry.at("kind"), entry.at("num_layers")));
  }
}

void whole_model(const Case& c, Report& report) {
  TrunkOptions o;
  o.dim = c.json.at("embed_dim");
  o.depth = c.json.at("depth");
  o.heads = c.json.at("num_heads");
  o.stride_f = c.json.at("fstride");
  o.stride_t = c.json.at("tstride");
  o.classes = c.json.at("label_dim");
  o.grid = {schema::patches_along(c.json.at("input_fdim"), o.patch_f, o.stride_f),
            schema::patches_along(c.json.at("input_tdim"), o.patch_t, o.stride_t)};
  Trunk model(o, Init(0, false));
  load(model, from_ast(read_weights(c.folder / c.json.at("weights").at(0)), o.grid));
  const at::Tensor mel = tensor_of(c.at("input/spectrogram")).transpose(1, 2);
  const at::NoGradGuard no_grad;
  if (c.has("output/logits_plain")) {
    report.compare("output/logits_plain", floats_of(model.forward(Input::whole(mel), {}).logits));
  }
  // Faster_Audio_Transformers has neither the bias nor the protected distillation token.
  const bool fat = c.json.contains("quirks");
  for (const auto& variant : c.json.at("variants")) {
    const std::string key = variant.at("key");
    TomeSettings tome;
    tome.prop_attn = !fat && variant.at("prop_attn").get<bool>();
    tome.protect_dist = !fat;
    tome.r = schedule_of(variant.at("r"),
                         fat ? std::string("int") : variant.at("kind").get<std::string>(), o.depth);
    report.compare_text(key + " schedule", nlohmann::json(tome.r).dump(),
                        variant.at("schedule").dump());
    Pass pass;
    const Reducers reducers = {std::make_shared<Tome>(tome)};
    pass.reducers = &reducers;
    pass.trace = true;
    pass.want_tokens = true;
    const Output out = model.forward(Input::whole(mel), pass);
    report.compare("output/logits_" + key, floats_of(out.logits));
    report.compare_value(key + " tokens", static_cast<double>(out.tokens.size(1)),
                         variant.at("tokens_after_block").back());
    if (c.has("output/size_" + key)) report.compare("output/size_" + key, floats_of(out.size));
    if (c.has("output/source_" + key))
      report.compare("output/source_" + key, integers_of(out.source[0]));
  }
}

/// The cases of this kind differ in what they hold.
void tome(const Case& c, Report& report) {
  if (c.json.contains("variants")) return whole_model(c, report);
  if (c.json.contains("cases")) return schedules(c, report);
  if (c.json.contains("k")) return every_kth(c, report);
  if (c.json.contains("effective_r")) return matching(c, report);
  if (c.has("output/weighted_sum")) return ties(c, report);
  report.fail("a case of model/tome that no driver knows");
}

TEST(TomeParity, EveryCase) {
  at::set_num_threads(1);
  testing::expect_parity({"model/tome"}, {{"model/tome", tome}});
}

TEST(TomeParity, FlippedValuesAreNoticed) {
  at::set_num_threads(1);
  testing::expect_flips_noticed({{"model/tome", tome}});
}

}  // namespace
}  // namespace xp::model
