#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace xp::train {

/// Computes a kept broken step again (`broken-step-N.safetensors`) on the CPU in fp32, with the
/// weights, the input, the draws, the teacher and the masks that it had. Returns lines for a
/// person: the loss of each clip and of the batch, where values that are not finite stand (weights,
/// input, logits), and which gradients are not finite. Throws Error (kData) for a file that is not
/// one.
std::vector<std::string> replay(const std::filesystem::path& file);

}  // namespace xp::train
