// CPU seconds per clip of the log-mel plan: the counterpart of log_mel.py.
//   log_mel_bench [--kind kaldi|augment_mel] [--clips 32] [--seconds 10] [--repeats 5] [--set
//   avx512|avx2|baseline]
// The last line is JSON, {"clip_s": ...}: the fastest repeat, after one that is not counted.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <map>
#include <string>
#include <vector>

#include "core/base/rng.h"
#include "core/ops/log_mel.h"

namespace {

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

}  // namespace

int main(int argc, char** argv) {
  std::map<std::string, std::string> args = {{"--kind", "kaldi"},
                                             {"--clips", "32"},
                                             {"--seconds", "10"},
                                             {"--repeats", "5"},
                                             {"--set", ""}};
  for (int i = 1; i + 1 < argc; i += 2) {
    if (!args.count(argv[i])) {
      std::fprintf(stderr, "log_mel_bench: unknown option %s\n", argv[i]);
      return 2;
    }
    args[argv[i]] = argv[i + 1];
  }
  const bool kaldi = args["--kind"] == "kaldi";
  xp::ops::LogMel plan(kaldi ? xp::ops::kaldi_options() : xp::ops::augment_mel_options());
  if (!args["--set"].empty()) plan = plan.on(args["--set"]);
  const auto samples = static_cast<int64_t>(std::stod(args["--seconds"]) * plan.options().rate_hz);
  const int64_t clips = std::stoll(args["--clips"]), frames = plan.frames(samples);

  std::vector<std::vector<float>> waves;
  for (int64_t i = 0; i < std::min<int64_t>(clips, 8); ++i) {
    xp::Rng rng(7, "bench", 0, static_cast<uint64_t>(i));
    std::vector<float>& wave = waves.emplace_back();
    for (int64_t n = 0; n < samples; ++n)
      wave.push_back(static_cast<float>(0.1 * rng.uniform(-1, 1)));
  }
  std::vector<float> mel(static_cast<size_t>(plan.bins() * frames));
  double best = 1e30;
  double sum = 0;
  for (int64_t r = 0; r <= std::stoll(args["--repeats"]); ++r) {
    const double start = cpu_seconds();
    for (int64_t i = 0; i < clips; ++i) {
      const auto& wave = waves[static_cast<size_t>(i) % waves.size()];
      plan.run(wave.data(), samples, mel.data(), frames, frames, {-4.27F, 0.1F});
      sum += static_cast<double>(mel[static_cast<size_t>(i) % mel.size()]);
    }
    if (r > 0) best = std::min(best, (cpu_seconds() - start) / static_cast<double>(clips));
  }
  std::printf("%s, %lld frames, %s, checksum %.6g\n", args["--kind"].c_str(),
              static_cast<long long>(frames), std::string(xp::ops::instruction_set()).c_str(), sum);
  std::printf("{\"clip_s\": %.9f}\n", best);
  return 0;
}
