#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/checkpoint/archive.h"
#include "core/model/files/key_map.h"
#include "core/model/model.h"

namespace xp::model {

struct ImportOptions {
  /// Names that the model lacks, or that it needs and the file lacks, are an error. What is
  /// expected when starting from other training is not counted: a new classifier for other classes,
  /// heads of masked pretraining, ImageNet's classifiers.
  bool strict = true;
  /// Of the position embedding in the file, where that is a list of patches (AST's, DeiT's,
  /// transformers'): nothing in the file says its rows and columns. Without it an image's is a
  /// square, and any other has the rows that `bins` make with the model's patch and stride.
  std::optional<schema::Grid> grid;
  /// Mel bins of the input that the file was trained on; 0 = as many as the model's rows need.
  int64_t bins = 0;
  /// Mel bins between the file's patches; 0 = the model's.
  int64_t stride_f = 0;
  /// The model's own rows and columns are not the file's: its bins or strides were said.
  bool grid_of_its_own = false;
  /// The model's bins, strides or frames are what a default says and not what somebody knows of the
  /// file: a list that fits those of another training of the originals as well is refused then.
  bool bins_assumed = false;
  bool strides_assumed = false;
  bool frames_assumed = false;
};

/// What became of every tensor.
struct ImportReport {
  struct Change {
    std::string name;  ///< ours
    std::string what;  ///< "12x101 -> 12x50, cut around the middle"
  };
  Original original = Original::kExp;
  std::string averaged;                 ///< of several copies the averaged one was taken: its name
  int64_t used = 0;                     ///< tensors of the file that the model took
  std::vector<Change> reshaped;         ///< fitted to another shape
  std::vector<std::string> fresh;       ///< the model's, left at their start values: expected
  std::vector<std::string> missing;     ///< the model's, that the file should have had
  std::vector<std::string> unexpected;  ///< the file's, that nothing wanted
  std::vector<std::string> dead;        ///< the file's, that no forward pass uses

  /// Every tensor of the model came as the file has it, from its only copy: line() has nothing to
  /// tell.
  bool exact() const;
  /// One line for a log: "AST: 150 tensors; pos.grid 12x101 -> 12x50, cut around the middle; new:
  /// head.norm.weight, ..".
  std::string line() const;
  /// All names, one a line, grouped.
  std::string text() const;
};

/// Takes what [model] says of the positions in a file: weights_grid, weights_fstride,
/// weights_mel_bins. Throws Error (kUsage) for a grid that is not rows and columns.
void take_said_positions(const schema::ModelOptions& said, ImportOptions& import);

/// Copies a checkpoint of any known family into a model made by make_model:
///
///   - a list of position embeddings gets its rows and columns (ImportOptions::grid); one that may
///     be read in two ways is an error that names the keys and flags which settle it;
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

/// Columns of a time embedding that stands by itself (PaSST's and TorchOnlyAST's PaSST); 0 without.
int64_t time_positions(const checkpoint::Archive& archive);

/// A tensor of the classifier that the file did not give: its outputs mean nothing before training.
/// "" when there is none.
std::string untrained_head(const Model& model, const ImportReport& report);

}  // namespace xp::model
