// CPU seconds per clip of decoding and resampling to mono: the counterpart of decode.py.
//   decode_bench --folder DIR [--rate 16000] [--clips 200] [--repeats 3] [--threads 1]
// Takes the first `clips` sound files below DIR. The last line is JSON: clip_s (CPU, fastest repeat
// after one that is not counted) and clips_per_s (wall).
#include <cstdio>
#include <ctime>
#include <map>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "data/decode.h"
#include "data/parallel.h"
#include "data/pipeline.h"
#include "data/sets/sets.h"

namespace {

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

}  // namespace

int main(int argc, char** argv) {
  std::map<std::string, std::string> args = {{"--folder", ""},
                                             {"--rate", "16000"},
                                             {"--clips", "200"},
                                             {"--repeats", "3"},
                                             {"--threads", "1"}};
  for (int i = 1; i + 1 < argc; i += 2) args[argv[i]] = argv[i + 1];
  std::vector<std::string> files = xp::data::sound_files(args["--folder"], "", true);
  files.resize(std::min<size_t>(files.size(), std::stoul(args["--clips"])));
  xp::data::DecodeOptions options;
  options.rate_hz = std::stoll(args["--rate"]);
  xp::data::keep_freed_memory();  // as the stage that prepares has it
  double best = 1e30;
  double rate = 0;
  for (int64_t r = 0; r <= std::stoll(args["--repeats"]); ++r) {
    const double cpu = cpu_seconds();
    const int64_t wall = xp::steady_ns();
    xp::data::parallel_for(
        static_cast<int64_t>(files.size()), std::stoi(args["--threads"]), [&](int64_t i) {
          thread_local xp::data::Decoder decoder(options);
          const auto wave = decoder.read(
              xp::data::FileSource{args["--folder"] + "/" + files[static_cast<size_t>(i)]});
          if (!wave.problem.empty())
            std::fprintf(stderr, "%s: %s\n", files[static_cast<size_t>(i)].c_str(),
                         wave.problem.c_str());
        });
    if (r == 0) continue;
    const auto clips = static_cast<double>(files.size());
    best = std::min(best, (cpu_seconds() - cpu) / clips);
    rate = std::max(rate, clips / (static_cast<double>(xp::steady_ns() - wall) * 1e-9));
  }
  std::printf("{\"clip_s\": %.9f, \"wall_clip_s\": %.9f}\n", best, 1 / rate);
  return 0;
}
