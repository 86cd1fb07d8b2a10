#include "core/model/clip_positions.h"

#include <numeric>

#include "core/base/error.h"

namespace xp::model {

std::vector<int64_t> positions_of(const ForwardContext& context, int64_t batch) {
  if (!context.positions.empty()) {
    XP_CHECK(static_cast<int64_t>(context.positions.size()) == batch, "one position a clip");
    return {context.positions.begin(), context.positions.end()};
  }
  std::vector<int64_t> positions(static_cast<size_t>(batch));
  std::iota(positions.begin(), positions.end(), int64_t{0});
  return positions;
}

}  // namespace xp::model
