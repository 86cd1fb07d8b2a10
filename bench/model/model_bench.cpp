// CPU seconds per clip of a transformer: the counterpart of model.py.
//   model_bench [--arch ast-base384] [--frames 512] [--stride 10] [--r 0] [--patchout_t 0]
//   [--patchout_f 0]
//               [--dtype fp32|bf16] [--batch 2] [--threads 1] [--train 0|1] [--repeats 3]
//   model_bench --pieces 1 ...: one block of a base model and its parts (attention by both paths,
//   matching, merging); the last line is {"share": (matching + merging) / block}
// The last line is JSON, {"clip_s": ...}: the fastest repeat, after one that is not counted.
#include <algorithm>
#include <cstdio>
#include <functional>
#include <string>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>

#include "bench/model/bench.h"
#include "core/model/attention.h"
#include "core/model/block.h"
#include "core/model/reduce/tome.h"
#include "core/model/registry.h"
#include "core/model/trunk.h"
#include "core/schema/model.h"
#include "core/schema/patchout.h"
#include "core/schema/reductions.h"

namespace {

using bench::Args;
using bench::cpu_seconds;

double fastest(int64_t repeats, const std::function<void()>& work) {
  work();
  double best = 1e30;
  for (int64_t i = 0; i < repeats; ++i) {
    const double before = cpu_seconds();
    work();
    best = std::min(best, cpu_seconds() - before);
  }
  return best;
}

void pieces(const Args& args, int64_t tokens, at::ScalarType dtype) {
  const int64_t batch = std::stoll(args.at("--batch")),
                repeats = std::stoll(args.at("--repeats")) * 5;
  const int64_t r = std::stoll(args.at("--r"));
  const bool train = args.at("--train") == "1";
  const at::NoGradGuard no_grad;
  const at::Tensor qkv = at::randn({3, batch, tokens, 12, 64}).to(dtype).transpose(2, 3);
  const at::Tensor x = at::randn({batch, tokens, 768});
  const auto ms = [&](const char* name, const std::function<void()>& work) {
    const double seconds = fastest(repeats, work);
    std::printf("%-12s %8.2f ms a batch\n", name, 1e3 * seconds);
    return seconds;
  };
  for (const bool biased : {false, true}) {
    const at::Tensor bias = biased ? at::zeros({batch, tokens}) : at::Tensor();
    for (const auto path : {xp::model::AttentionPath::kSdpa, xp::model::AttentionPath::kEager}) {
      const std::string name =
          std::string(path == xp::model::AttentionPath::kSdpa ? "sdpa" : "eager") +
          (biased ? "+bias" : "");
      ms(name.c_str(), [&] {
        const at::AutoGradMode grad(train);
        const at::Tensor in = qkv.detach().requires_grad_(train);
        const at::Tensor out = xp::model::attention_by(path, in[0], in[1], in[2], bias);
        if (train) out.backward(out.detach());
      });
    }
  }
  const xp::model::Match match = xp::model::match_tokens(qkv[1], r, {true, true});
  xp::model::Block block(xp::model::BlockOptions{}, xp::model::Init(1));
  block.to(dtype);
  const xp::model::Block::Drop drop{0, 0, 0, std::make_shared<const xp::model::Noise>()};
  // Whole blocks keep the residual stream in float32.
  const at::Tensor stream = at::randn({batch, tokens, 768});
  const double whole = ms("block", [&] {
    const at::AutoGradMode grad(train);
    xp::model::Tokens in;
    in.x = stream.flatten(0, 1);
    in.runs = {{batch, tokens}};
    block.run(in, {}, drop, {}, false);
    if (train) in.x.backward(in.x.detach());
  });
  const double matching = ms("matching", [&] { xp::model::match_tokens(qkv[1], r, {true, true}); });
  const double merging = ms("merging", [&] {
    const at::AutoGradMode grad(train);
    const at::Tensor in = x.detach().requires_grad_(train);
    const auto [out, size] = xp::model::merge_tokens(in, {}, match);
    if (train) out.backward(out.detach());
  });
  std::printf("{\"share\": %.4f}\n", (matching + merging) / whole);
}

}  // namespace

int main(int argc, char** argv) {
  Args args = {
      {"--arch", "ast-base384"}, {"--frames", "512"},   {"--stride", "10"},  {"--r", "0"},
      {"--patchout_t", "0"},     {"--patchout_f", "0"}, {"--dtype", "fp32"}, {"--batch", "2"},
      {"--threads", "1"},        {"--train", "0"},      {"--repeats", "3"},  {"--pieces", "0"},
      {"--depth", "0"}};
  bench::take_arguments("model_bench", argc, argv, args);
  at::set_num_threads(std::stoi(args["--threads"]));
  const bool half = args["--dtype"] == "bf16", train = args["--train"] == "1";
  const int64_t batch = std::stoll(args["--batch"]);

  xp::schema::ModelOptions options =
      xp::schema::ModelOptions::of_kind(*xp::schema::ModelOptions::parse_kind(args["--arch"]));
  options.arch = args["--arch"];
  options.depth = std::stoll(args["--depth"]);
  if (options.fstride > 0) options.fstride = options.tstride = std::stoll(args["--stride"]);
  xp::schema::Reductions reductions;
  reductions.tome.emplace().r.value = std::stoll(args["--r"]);
  xp::schema::PatchoutOptions patchout;
  patchout.t = std::stoll(args["--patchout_t"]);
  patchout.f = std::stoll(args["--patchout_f"]);
  const xp::model::Geometry input{128, std::stoll(args["--frames"])};
  if (args["--pieces"] == "1") {
    pieces(args, xp::schema::patch_grid(options, input).count() + 2,
           half ? at::kBFloat16 : at::kFloat);
    return 0;
  }
  const auto model = xp::model::make_model({.options = options,
                                            .geometry = input,
                                            .classes = 527,
                                            .reductions = reductions,
                                            .patchout = patchout});
  const at::Tensor mel = at::randn({batch, input.F, input.T});
  if (half && train) {
    at::autocast::set_autocast_enabled(at::kCPU, true);
    at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
  } else if (half) {
    model->to(at::kBFloat16);
  }
  xp::model::Pass pass;
  pass.training = train;
  xp::model::Input clips = xp::model::Input::whole(mel);
  const double seconds = fastest(std::stoll(args["--repeats"]), [&] {
    const at::AutoGradMode grad(train);
    const xp::model::Output out = model->forward(clips, pass);
    if (train) out.logits.to(at::kFloat).square().mean().backward();
    at::autocast::clear_cache();
    ++clips.draws.step;
  });
  std::printf("{\"clip_s\": %.6f}\n", seconds / static_cast<double>(batch));
  return 0;
}
