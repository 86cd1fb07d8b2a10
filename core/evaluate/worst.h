#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/evaluate/evaluation.h"

/// The clips that a model gets most wrong: torch-free.
namespace xp::evaluate {

struct WrongClip {
  std::string id;
  double loss = 0;
  std::vector<std::string> labels;  ///< names of its classes
  struct Guess {
    std::string name;
    double probability = 0;
  };
  std::vector<Guess> guesses;  ///< the three most probable classes, falling
};

/// The `most` clips of highest loss, falling; equal losses in the order of the split. The loss of a
/// clip is cross entropy after a softmax where every clip of the split has exactly one label, else
/// the mean over known classes of binary cross entropy; probabilities are of the same kind.
std::vector<WrongClip> worst_clips(const ScoredSplit& split, int64_t most);

/// worst.json: what `exp show RUN --worst N` reads; a list of {id, loss, labels, guesses}.
void write_worst(const std::filesystem::path& file, const std::vector<WrongClip>& clips);

}  // namespace xp::evaluate
