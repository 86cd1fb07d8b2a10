#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/cli/model_commands.h"
#include "core/load/open_model.h"
#include "data/wave_reader.h"

/// What predict, embed, import and export share.
namespace xp::cli {

load::OpenOptions open_options(const CheckpointArguments& source, int64_t tome_r = 0);

/// load::open_model, and a line on stderr where a tensor was fitted or is not in the file.
load::OpenModel open_and_say(const std::string& what, const CheckpointArguments& source,
                             int64_t tome_r = 0);

/// Sound files of `inputs`: files as they are, folders with everything below them, sorted. Throws
/// Error (kData) for what is not there and when there is none.
std::vector<std::string> sound_files_of(const std::vector<std::string>& inputs);

/// A sound file at `rate_hz`, as a shard of it would hold it, so that its scores are those of
/// `evaluate`. Throws Error (kData) naming the file.
data::WaveReader open_wave(const std::string& file, int64_t rate_hz);

/// [n, window] float32: the stretches that begin at `starts`, in their order.
at::Tensor read_windows(data::WaveReader& wave, std::span<const int64_t> starts, int64_t window);

/// Throws Error (kData) when an output of the model is NaN or infinite.
void check_finite(const at::Tensor& outputs, const load::OpenModel& open);

/// What went wrong with single files of many: the others go on.
class Failures {
 public:
  /// Runs the work on one file; an Error of it is kept, with the file's name. Throws Stopped when
  /// the process was asked to stop.
  void guard(const std::string& file, const std::function<void()>& work);
  size_t count() const { return texts_.size(); }
  /// Lists them on stderr. The exit code of the command: kData when there are some.
  int report() const;

 private:
  std::vector<std::string> texts_;
  size_t files_ = 0;
};

}  // namespace xp::cli
