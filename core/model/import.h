#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/checkpoint/archive.h"
#include "core/model/key_map.h"
#include "core/model/model.h"

namespace xp::model {

struct ImportOptions {
  /// Names that the model lacks, or that it needs and the file lacks, are an error. What is
  /// expected when starting from other training is not counted: a new classifier for other classes,
  /// heads of masked pretraining, ImageNet's classifiers.
  bool strict = true;
  /// Of the position embedding in the file, where its length alone does not say (AST's and DeiT's
  /// list of patches). Found from the length for all published checkpoints and square images.
  std::optional<schema::Grid> grid;
};

/// What became of every tensor.
struct ImportReport {
  struct Change {
    std::string name;  ///< ours
    std::string what;  ///< "12x101 -> 12x50, cut around the middle"
  };
  Original original = Original::kExp;
  int64_t used = 0;                     ///< tensors of the file that the model took
  std::vector<Change> reshaped;         ///< fitted to another shape
  std::vector<std::string> fresh;       ///< the model's, left at their start values: expected
  std::vector<std::string> missing;     ///< the model's, that the file should have had
  std::vector<std::string> unexpected;  ///< the file's, that nothing wanted
  std::vector<std::string> dead;        ///< the file's, that no forward pass uses

  /// Every tensor of the model came as the file has it: line() has nothing to tell.
  bool exact() const;
  /// One line for a log: "AST: 150 tensors; pos.grid 12x101 -> 12x50, cut around the middle; new:
  /// head.norm.weight, ..".
  std::string line() const;
  /// All names, one a line, grouped.
  std::string text() const;
};

/// Copies a checkpoint of any known family into a model made by make_model:
///
///   - position embeddings are fitted as the original does: AST, SSAST and images to a joint
///   embedding by cutting
///     around the middle or stretching bilinearly, time first (SSAST stretches over 8 rows); images
///     to PaSST's separate one bicubically, then the means of rows and columns; PaSST's time
///     embedding is cut at its front;
///   - colour filters are summed to one channel;
///   - an image model's class token also starts the distillation token where the file has none;
///   - a classifier for other classes (other rows in weight and bias, nothing else), or one that
///   the file has not, is left as it is (AST: with its norm, PaSST: without);
///   - with `cut_depth`, blocks come from their places in the full model.
///
/// `file` is for messages. Throws Error (kData) when the family does not fit, a shape differs
/// otherwise, or (strict) names are missing or left over; then the model is unchanged.
ImportReport load_weights(Model& model, const checkpoint::Archive& archive,
                          const std::filesystem::path& file, const ImportOptions& options = {});

/// A tensor of the classifier that the file did not give: its outputs mean nothing before training.
/// "" when there is none.
std::string untrained_head(const Model& model, const ImportReport& report);

}  // namespace xp::model
