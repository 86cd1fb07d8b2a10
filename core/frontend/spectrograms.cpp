#include "core/frontend/spectrograms.h"

namespace xp::frontend {

Waves Waves::whole(const at::Tensor& samples) {
  return {samples, std::vector<int64_t>(static_cast<size_t>(samples.size(0)), samples.size(1))};
}

Spectrograms Spectrograms::whole(const at::Tensor& mel) {
  return {mel, std::vector<int64_t>(static_cast<size_t>(mel.size(0)), mel.size(2))};
}

Spectrograms Spectrograms::narrow(int64_t first, int64_t count) const {
  return {mel.narrow(0, first, count), {frames.begin() + first, frames.begin() + first + count}};
}

}  // namespace xp::frontend
