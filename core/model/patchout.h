#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/model/tokens.h"

namespace xp::model {

/// Patchout (Koutini et al. 2022, "Efficient Training of Audio Transformers with Patchout"):
/// structured dropping of columns (time) and rows (frequency) of the patch grid, then unstructured
/// dropping of single patches. Training only.
struct PatchoutSettings {
  int64_t columns = 0;   ///< dropped, at most T' - 1
  int64_t rows = 0;      ///< dropped, at most F' - 1
  int64_t tokens = 0;    ///< dropped of what the first two left, at least one stays
  double columns_p = 0;  ///< share of the columns instead of a count, rounded down
  double rows_p = 0;
  double tokens_p = 0;
  bool per_clip =
      false;  ///< every clip drops its own; counts are equal, so a batch stays rectangular

  bool active() const;
};

/// What stays, ascending. One row for the batch, or one per clip.
struct PatchoutDraws {
  int64_t time_offset = 0;  ///< into the time embedding, where that is longer than the input
  std::vector<std::vector<int64_t>> kept_columns;  ///< empty = all
  std::vector<std::vector<int64_t>> kept_rows;     ///< empty = all
  std::vector<std::vector<int64_t>>
      kept_tokens;  ///< into the rows x columns that stayed; empty = all
};

/// Where draws come from: batch-wide ones from (seed, step), those of a clip from (seed, epoch,
/// position); never from rank, worker or device.
struct DrawKey {
  uint64_t seed = 0;
  uint64_t epoch = 0;
  uint64_t step = 0;               ///< global optimiser step
  std::vector<int64_t> positions;  ///< [B] global positions in the epoch's order
};

/// Draws for a grid; `spare_columns` is how many more columns the time embedding has than the
/// input.
PatchoutDraws draw_patchout(const PatchoutSettings& settings, Grid grid, int64_t spare_columns,
                            const DrawKey& key);

/// The places f * T' + t that stay, [1 or B, N'] int64 on the CPU, in frequency-major order;
/// undefined = all.
at::Tensor kept_places(const PatchoutDraws& draws, Grid grid);

/// x: [B, N, D] patches in frequency-major order, places [1 or B, N'] on the device of x, undefined
/// = all. Returns [B, N', D].
at::Tensor take_places(const at::Tensor& x, const at::Tensor& places);

}  // namespace xp::model
