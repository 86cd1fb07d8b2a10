// Clips per CPU second of a batch of clips of unequal length, of the same clips padded to the
// longest, and of equally long clips with as many frames in all.
//   lengths_bench [--arch ast-nano] [--batch 16] [--frames 1000] [--shortest 0.1] [--r 0]
//                 [--threads 1] [--train 0|1] [--repeats 5]
// Lengths are evenly spaced from shortest * frames to frames. The last line is JSON: {"mixed": ..,
// "padded": .., "equal": .., "share": mixed / equal}; the three take turns, the fastest of each
// counts.
#include <algorithm>
#include <array>
#include <cstdio>
#include <numeric>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "bench/model/bench.h"
#include "core/model/registry.h"
#include "core/schema/model.h"
#include "core/schema/reductions.h"

namespace {

using bench::Args;
using bench::cpu_seconds;

double seconds_of(const xp::model::Model& model, const xp::model::Input& input, bool train) {
  const double before = cpu_seconds();
  const at::AutoGradMode grad(train);
  xp::model::Pass pass;
  pass.training = train;
  const xp::model::Output out = model.forward(input, pass);
  if (train) out.logits.square().mean().backward();
  return cpu_seconds() - before;
}

}  // namespace

int main(int argc, char** argv) {
  Args args = {{"--arch", "ast-nano"}, {"--batch", "16"}, {"--frames", "1000"},
               {"--shortest", "0.1"},  {"--r", "0"},      {"--threads", "1"},
               {"--train", "0"},       {"--repeats", "5"}};
  bench::take_arguments("lengths_bench", argc, argv, args);
  at::set_num_threads(std::stoi(args["--threads"]));
  const bool train = args["--train"] == "1";
  const int64_t batch = std::stoll(args["--batch"]);
  const int64_t frames = std::stoll(args["--frames"]);
  const double shortest = std::stod(args["--shortest"]);
  std::vector<int64_t> lengths;
  for (int64_t clip = 0; clip < batch; ++clip) {
    const double place =
        batch > 1 ? static_cast<double>(clip) / static_cast<double>(batch - 1) : 1.0;
    lengths.push_back(
        static_cast<int64_t>(static_cast<double>(frames) * (shortest + place * (1 - shortest))));
  }
  const int64_t mean = std::accumulate(lengths.begin(), lengths.end(), int64_t{0}) / batch;

  auto options =
      xp::schema::ModelOptions::of_kind(*xp::schema::ModelOptions::parse_kind(args["--arch"]));
  options.arch = args["--arch"];
  xp::schema::Reductions reductions;
  reductions.tome.emplace().r.value = std::stoll(args["--r"]);
  const auto model = xp::model::make_model(
      {.options = options, .geometry = {128, frames}, .classes = 527, .reductions = reductions});
  const at::Tensor mel = at::randn({batch, 128, frames});
  const std::array<xp::model::Input, 3> inputs = {
      xp::model::Input({mel, lengths}), xp::model::Input::whole(mel),
      xp::model::Input::whole(mel.narrow(2, 0, mean).contiguous())};
  std::array<double, 3> fastest{};
  for (int64_t turn = 0; turn <= std::stoll(args["--repeats"]); ++turn) {
    for (size_t i = 0; i < inputs.size(); ++i) {
      const double seconds = seconds_of(*model, inputs[i], train);
      if (turn == 1 || (turn > 1 && seconds < fastest[i])) fastest[i] = seconds;
    }
  }
  const auto clips_per_s = [&](size_t i) { return static_cast<double>(batch) / fastest[i]; };
  std::printf("{\"mixed\": %.2f, \"padded\": %.2f, \"equal\": %.2f, \"share\": %.3f}\n",
              clips_per_s(0), clips_per_s(1), clips_per_s(2), clips_per_s(0) / clips_per_s(2));
  return 0;
}
