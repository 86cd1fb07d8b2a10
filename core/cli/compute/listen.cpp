#include "core/cli/compute/listen.h"

#include <filesystem>
#include <utility>

#include <ATen/ops/empty.h>
#include <ATen/ops/isfinite.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/log.h"
#include "core/base/stop.h"
#include "core/schema/sound_files.h"
#include "data/sets/sets.h"

namespace xp::cli {
namespace fs = std::filesystem;

load::OpenOptions open_options(const CheckpointArguments& source, int64_t tome_r) {
  load::OpenOptions options;
  options.arch = source.arch;
  options.frames = source.frames;
  options.fstride = source.fstride;
  options.tstride = source.tstride;
  options.strict = !source.loose;
  options.set = source.set;
  options.labels = source.labels;
  if (tome_r > 0) options.reductions.tome.emplace().r.value = tome_r;
  return options;
}

load::OpenModel open_and_say(const std::string& what, const CheckpointArguments& source,
                             int64_t tome_r) {
  load::OpenModel open = load::open_model(what, open_options(source, tome_r));
  if (!open.report.exact()) log::info("{}: {}", open.name, open.report.line());
  for (const std::string& note : open.notes) log::info("{}: {}", open.name, note);
  return open;
}

std::vector<std::string> sound_files_of(const std::vector<std::string>& inputs) {
  std::vector<std::string> files;
  for (const std::string& input : inputs) {
    const fs::path path = expand_user(input);
    if (fs::is_directory(path)) {
      data::LeftOut left_out;
      for (const std::string& below : data::sound_files(path, "", /*deep=*/true, &left_out))
        files.push_back((path / below).string());
      if (!left_out.empty())
        log::info("{}: left out by their ending: {}", input, schema::endings_text(left_out));
    } else if (fs::exists(path)) {
      files.push_back(path.string());
    } else {
      throw Error(fmt::format("{} is not there", input), Exit::kData);
    }
  }
  if (files.empty()) {
    throw Error(fmt::format("no sound files there; their endings are .{}",
                            fmt::join(schema::sound_endings(), " .")),
                Exit::kData);
  }
  return files;
}

data::WaveReader open_wave(const std::string& file, int64_t rate_hz) {
  data::DecodeOptions options;
  options.rate_hz = rate_hz;
  return {file, options};
}

at::Tensor read_windows(data::WaveReader& wave, std::span<const int64_t> starts, int64_t window) {
  at::Tensor windows = at::empty({static_cast<int64_t>(starts.size()), window}, at::kFloat);
  auto* row = windows.mutable_data_ptr<float>();
  for (const int64_t start : starts) {
    wave.read(start, {row, static_cast<size_t>(window)});
    row += window;
  }
  return windows;
}

void check_finite(const at::Tensor& outputs, const load::OpenModel& open) {
  if (outputs.isfinite().all().item<bool>()) return;
  throw Error(fmt::format("{} answers with NaN or infinity: its weights, or the sound, are damaged",
                          open.name),
              Exit::kData);
}

void Failures::guard(const std::string& file, const std::function<void()>& work) {
  const auto keep = [&](const std::string& what) {
    texts_.push_back(what.starts_with(file) ? what : fmt::format("{}: {}", file, what));
  };
  throw_if_stopped();
  ++files_;
  try {
    work();
  } catch (const Error& error) {
    keep(error.what());
  } catch (const c10::Error& error) {
    keep(error.what_without_backtrace());
  }
}

int Failures::report() const {
  for (const std::string& text : texts_) log::error("{}", text);
  if (count() > 0 && files_ > 1) log::error("{} of {} sounds failed", texts_.size(), files_);
  return count() > 0 ? static_cast<int>(Exit::kData) : 0;
}

}  // namespace xp::cli
