#pragma once

#include <filesystem>
#include <string>

#include "core/train/state.h"

namespace xp::train {

struct StepResult;

/// Keeps what a broken step was given (input, targets, weights, clip ids) in a safetensors file.
/// Returns the end of the error's message: the clips, and the command that computes the step again.
std::string write_evidence(const std::filesystem::path& file, const State& evidence,
                           const StepResult& result);

/// A loss as people read it: the sign of a NaN says nothing and is left out.
std::string loss_text(double loss);

}  // namespace xp::train
