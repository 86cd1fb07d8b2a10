#include "core/model/patchout.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include <ATen/ops/empty.h>

#include "core/base/error.h"
#include "core/base/rng.h"

namespace xp::model {
namespace {

/// What stays of `there` when a count or a share of it goes; at least one.
int64_t kept_count(int64_t there, int64_t count, double share) {
  const int64_t gone =
      share > 0 ? static_cast<int64_t>(std::floor(static_cast<double>(there) * share)) : count;
  return std::clamp<int64_t>(there - gone, 1, there);
}

/// `kept` of 0 .. there-1, ascending: the head of a Fisher-Yates shuffle.
std::vector<int64_t> choose(Rng& rng, int64_t there, int64_t kept) {
  std::vector<int64_t> all(static_cast<size_t>(there));
  std::iota(all.begin(), all.end(), int64_t{0});
  for (int64_t i = 0; i < kept; ++i) {
    const auto other = static_cast<size_t>(i) + rng.below(static_cast<uint64_t>(there - i));
    std::swap(all[static_cast<size_t>(i)], all[other]);
  }
  all.resize(static_cast<size_t>(kept));
  std::sort(all.begin(), all.end());
  return all;
}

/// Row `clip` of draws, of which there may be one for the whole batch.
const std::vector<int64_t>* row(const std::vector<std::vector<int64_t>>& draws, size_t clip) {
  if (draws.empty()) return nullptr;
  return &draws[draws.size() == 1 ? 0 : clip];
}

}  // namespace

bool PatchoutSettings::active() const {
  return columns > 0 || rows > 0 || tokens > 0 || columns_p > 0 || rows_p > 0 || tokens_p > 0;
}

PatchoutDraws draw_patchout(const PatchoutSettings& settings, Grid grid, int64_t spare_columns,
                            const DrawKey& key) {
  PatchoutDraws draws;
  if (spare_columns > 0) {
    Rng rng(key.seed, "time_offset", 0, key.step);
    draws.time_offset = static_cast<int64_t>(rng.below(static_cast<uint64_t>(spare_columns) + 1));
  }
  if (!settings.active()) return draws;
  const int64_t columns = kept_count(grid.t, settings.columns, settings.columns_p);
  const int64_t rows = kept_count(grid.f, settings.rows, settings.rows_p);
  const int64_t tokens = kept_count(columns * rows, settings.tokens, settings.tokens_p);
  const size_t sets = settings.per_clip ? key.positions.size() : 1;
  XP_CHECK(sets > 0, "patchout per clip needs the clips' positions");
  for (size_t set = 0; set < sets; ++set) {
    Rng rng = settings.per_clip
                  ? Rng(key.seed, "patchout", key.epoch, static_cast<uint64_t>(key.positions[set]))
                  : Rng(key.seed, "patchout/batch", 0, key.step);
    if (columns < grid.t) draws.kept_columns.push_back(choose(rng, grid.t, columns));
    if (rows < grid.f) draws.kept_rows.push_back(choose(rng, grid.f, rows));
    if (tokens < columns * rows) draws.kept_tokens.push_back(choose(rng, columns * rows, tokens));
  }
  return draws;
}

at::Tensor kept_places(const PatchoutDraws& draws, Grid grid) {
  const size_t sets =
      std::max({draws.kept_columns.size(), draws.kept_rows.size(), draws.kept_tokens.size()});
  if (sets == 0) return {};
  std::vector<int64_t> all_columns(static_cast<size_t>(grid.t));
  std::vector<int64_t> all_rows(static_cast<size_t>(grid.f));
  std::iota(all_columns.begin(), all_columns.end(), int64_t{0});
  std::iota(all_rows.begin(), all_rows.end(), int64_t{0});
  at::Tensor places;
  for (size_t set = 0; set < sets; ++set) {
    const auto* columns = row(draws.kept_columns, set);
    const auto* rows = row(draws.kept_rows, set);
    const auto* tokens = row(draws.kept_tokens, set);
    std::vector<int64_t> list;
    for (const int64_t f : rows != nullptr ? *rows : all_rows) {
      for (const int64_t t : columns != nullptr ? *columns : all_columns)
        list.push_back(f * grid.t + t);
    }
    if (tokens != nullptr) {
      std::vector<int64_t> taken;
      for (const int64_t token : *tokens) taken.push_back(list[static_cast<size_t>(token)]);
      list = std::move(taken);
    }
    const auto count = static_cast<int64_t>(list.size());
    if (!places.defined()) places = at::empty({static_cast<int64_t>(sets), count}, at::kLong);
    XP_CHECK(places.size(1) == count, "clips of one batch keep equally many patches");
    std::copy(list.begin(), list.end(),
              places.mutable_data_ptr<int64_t>() + static_cast<int64_t>(set) * count);
  }
  return places;
}

at::Tensor take_places(const at::Tensor& x, const at::Tensor& places) {
  if (!places.defined()) return x;
  if (places.size(0) == 1) return x.index_select(1, places[0]);
  return x.gather(1, places.unsqueeze(-1).expand({-1, -1, x.size(2)}));
}

}  // namespace xp::model
