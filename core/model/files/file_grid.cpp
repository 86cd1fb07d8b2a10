#include "core/model/files/file_grid.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace xp::model {
namespace {

using schema::Grid;

constexpr int64_t kOriginalBins[] = {128, 64};
constexpr int64_t kOriginalStrides[] = {10, 12, 14, 16};

constexpr const char* kSettle =
    "say which by the strides and bins that it was trained with: model.fstride and model.tstride "
    "(--fstride and --tstride), frontend.mel_bins; or, where the model has others, by "
    "model.weights_fstride and model.weights_mel_bins, or outright by model.weights_grid = [rows, "
    "columns] (--set model.weights_grid=[12,101])";

struct Reading {
  int64_t bins, stride;
  Grid grid;
};

int64_t rows_in(const PatchList& list, int64_t bins, int64_t stride) {
  return bins > 0 ? schema::patches_along(bins, list.patch_f, stride) : list.model.f;
}

/// What the patches may be, the model's own bins and stride first.
std::vector<Reading> readings_of(const PatchList& list) {
  std::vector<int64_t> bins = {list.bins};
  std::vector<int64_t> strides = {list.stride_f};
  if (list.bins_assumed)
    bins.insert(bins.end(), std::begin(kOriginalBins), std::end(kOriginalBins));
  if (list.strides_assumed)
    strides.insert(strides.end(), std::begin(kOriginalStrides), std::end(kOriginalStrides));
  std::vector<Reading> readings;
  for (const int64_t b : bins) {
    for (const int64_t stride : strides) {
      const int64_t rows = rows_in(list, b, stride);
      if (rows < 1 || list.count % rows != 0) continue;
      const Grid grid{rows, list.count / rows};
      if (b != list.bins && !list.frames_assumed && grid.t != list.model.t) continue;
      const bool known = std::any_of(readings.begin(), readings.end(),
                                     [&](const Reading& r) { return r.grid == grid; });
      if (!known) readings.push_back({b, stride, grid});
    }
  }
  return readings;
}

}  // namespace

std::optional<Grid> grid_of_list(const PatchList& list, std::string& fault) {
  const std::string has = fmt::format("its position embedding has {} patches", list.count);
  if (list.said) {
    if (list.said->count() == list.count) return list.said;
    fault = fmt::format("{}, not {} x {}", has, list.said->f, list.said->t);
    return std::nullopt;
  }
  const auto side = static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(list.count))));
  if (list.image) {
    if (side * side == list.count) return Grid{side, side};
    fault = has + ", no square as an image's; " + kSettle;
    return std::nullopt;
  }
  if (list.model.count() == list.count) return list.model;
  const std::vector<Reading> readings = readings_of(list);
  const auto is_own = [&](const Reading& r) {
    return r.bins == list.bins && r.stride == list.stride_f;
  };
  if (readings.size() == 1 && is_own(readings.front())) return readings.front().grid;
  if (readings.empty()) {
    fault = fmt::format("{}, which {} rows ({} bins, stride {}) do not divide; {}", has,
                        rows_in(list, list.bins, list.stride_f), list.bins, list.stride_f, kSettle);
    return std::nullopt;
  }
  std::vector<std::string> texts;
  for (const Reading& r : readings)
    texts.push_back(
        fmt::format("{} x {} ({} bins, stride {})", r.grid.f, r.grid.t, r.bins, r.stride));
  fault = fmt::format("{}: {}; {}", has, fmt::join(texts, " or "), kSettle);
  return std::nullopt;
}

}  // namespace xp::model
