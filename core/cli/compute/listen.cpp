#include "core/cli/compute/listen.h"

#include <filesystem>

#include <ATen/ops/tensor.h>
#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/files.h"
#include "data/decode.h"
#include "data/sets/sets.h"

namespace xp::cli {
namespace fs = std::filesystem;

train::OpenOptions open_options(const CheckpointArguments& source, int64_t tome_r) {
  train::OpenOptions options;
  options.arch = source.arch;
  options.frames = source.frames;
  options.fstride = source.fstride;
  options.tstride = source.tstride;
  options.strict = !source.loose;
  options.labels = source.labels;
  if (tome_r > 0) {
    schema::TomeOptions tome;
    tome.r.value = tome_r;
    options.tome = tome;
  }
  return options;
}

std::vector<std::string> sound_files_of(const std::vector<std::string>& inputs) {
  std::vector<std::string> files;
  for (const std::string& input : inputs) {
    const fs::path path = expand_user(input);
    if (fs::is_directory(path)) {
      for (const std::string& below : data::sound_files(path, /*deep=*/true))
        files.push_back((path / below).string());
    } else if (fs::exists(path)) {
      files.push_back(path.string());
    } else {
      throw Error(fmt::format("{} is not there", input), Exit::kData);
    }
  }
  if (files.empty())
    throw Error("no sound files (.wav, .flac, .ogg, .opus, .mp3, .aiff) there", Exit::kData);
  return files;
}

at::Tensor read_wave(const std::string& file, int64_t rate_hz) {
  data::DecodeOptions options;
  options.rate_hz = rate_hz;
  const data::Wave wave = data::Decoder(options).read(data::FileSource{file});
  if (!wave.problem.empty()) throw Error(Place{file}, wave.problem, Exit::kData);
  return at::tensor(wave.samples).unsqueeze(0);
}

}  // namespace xp::cli
