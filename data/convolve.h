#pragma once

#include <span>
#include <vector>

namespace xp::data {

/// The first x.size() samples of the full convolution of x and h, by FFT in blocks (overlap-add).
std::vector<float> convolve_head(std::span<const float> x, std::span<const float> h);

}  // namespace xp::data
