#include "core/model/widths.h"

#include <map>

#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>

#include "core/base/error.h"
#include "core/frontend/to_device.h"

namespace xp::model {

Widths::Widths(const std::vector<int64_t>& widths) {
  XP_CHECK(!widths.empty(), "a batch without clips");
  std::map<int64_t, std::vector<int64_t>> by_width;
  for (size_t clip = 0; clip < widths.size(); ++clip)
    by_width[widths[clip]].push_back(static_cast<int64_t>(clip));
  for (auto& [width, clips] : by_width) groups_.push_back({width, std::move(clips)});
}

at::Tensor Widths::take(const at::Tensor& rows, const Group& group) const {
  if (groups_.size() == 1) return rows;
  const int64_t first = group.clips.front();
  if (group.clips.back() - first + 1 == group.size()) return rows.narrow(0, first, group.size());
  return rows.index_select(0,
                           frontend::to_device(at::tensor(group.clips, at::kLong), rows.device()));
}

at::Tensor Widths::mel(const Input& input, const Group& group, int64_t frames) const {
  return take(input.spectrograms.mel, group).narrow(2, 0, frames);
}

DrawKey Widths::draws(const Input& input, const Group& group) const {
  DrawKey key = input.draws;
  key.positions.clear();
  for (const int64_t clip : group.clips)
    key.positions.push_back(input.draws.positions[static_cast<size_t>(clip)]);
  return key;
}

DrawKey Widths::draws(const Input& input) const {
  DrawKey key = input.draws;
  key.positions.clear();
  for (const Group& group : groups_)
    for (const int64_t position : draws(input, group).positions) key.positions.push_back(position);
  return key;
}

at::Tensor Widths::restore(const std::vector<at::Tensor>& rows) const {
  XP_CHECK(rows.size() == groups_.size(), "rows of each group");
  if (rows.size() == 1) return rows[0];
  const at::Tensor sorted = at::cat(rows);
  std::vector<int64_t> place(static_cast<size_t>(sorted.size(0)));
  int64_t next = 0;
  for (const Group& group : groups_)
    for (const int64_t clip : group.clips) place[static_cast<size_t>(clip)] = next++;
  return sorted.index_select(0, frontend::to_device(at::tensor(place, at::kLong), sorted.device()));
}

}  // namespace xp::model
