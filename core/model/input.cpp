#include "core/model/input.h"

#include <numeric>
#include <utility>

#include "core/base/error.h"

namespace xp::model {

Input::Input(frontend::Spectrograms the_spectrograms, DrawKey the_draws)
    : spectrograms(std::move(the_spectrograms)), draws(std::move(the_draws)) {
  const auto batch = static_cast<size_t>(clips());
  XP_CHECK(spectrograms.mel.dim() == 3 && spectrograms.mel.size(0) == static_cast<int64_t>(batch),
           "one length a clip");
  for (const int64_t own : spectrograms.frames)
    XP_CHECK(own >= 0 && own <= spectrograms.mel.size(2), "a clip is longer than its row");
  if (draws.positions.empty()) {
    draws.positions.resize(batch);
    std::iota(draws.positions.begin(), draws.positions.end(), int64_t{0});
  }
  XP_CHECK(draws.positions.size() == batch, "one position a clip");
}

Input Input::whole(const at::Tensor& mel, DrawKey draws) {
  return {frontend::Spectrograms::whole(mel), std::move(draws)};
}

}  // namespace xp::model
