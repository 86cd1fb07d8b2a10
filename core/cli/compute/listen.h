#pragma once

#include <functional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/cli/model_commands.h"
#include "core/train/open_model.h"

/// What predict, embed, import and export share.
namespace xp::cli {

train::OpenOptions open_options(const CheckpointArguments& source, int64_t tome_r = 0);

/// Sound files of `inputs`: files as they are, folders with everything below them, sorted. Throws
/// Error (kData) for what is not there and when there is none.
std::vector<std::string> sound_files_of(const std::vector<std::string>& inputs);

/// [1, N] float32 at `rate_hz`. Throws Error (kData) naming the file.
at::Tensor read_wave(const std::string& file, int64_t rate_hz);

}  // namespace xp::cli
