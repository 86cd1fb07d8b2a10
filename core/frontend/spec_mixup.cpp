#include "core/frontend/spec_mixup.h"

#include <algorithm>
#include <numeric>

#include <ATen/ATen.h>

#include "core/base/error.h"
#include "core/base/rng.h"
#include "core/frontend/to_device.h"

namespace xp::frontend {

SpecMix draw_spec_mix(int64_t batch, double alpha, uint64_t seed, uint64_t epoch,
                      uint64_t position) {
  SpecMix mix;
  std::vector<uint64_t> order;
  for (int64_t i = 0; i < batch; ++i) {
    const uint64_t index = position + static_cast<uint64_t>(i);
    const double l = Rng(seed, "spec_mix", epoch, index).beta(alpha, alpha);
    mix.weight.push_back(static_cast<float>(std::max(l, 1 - l)));
    order.push_back(Rng(seed, "spec_mix_order", epoch, index).bits64());
  }
  mix.partner.resize(static_cast<size_t>(batch));
  std::iota(mix.partner.begin(), mix.partner.end(), int64_t{0});
  std::stable_sort(mix.partner.begin(), mix.partner.end(), [&order](int64_t a, int64_t b) {
    return order[static_cast<size_t>(a)] < order[static_cast<size_t>(b)];
  });
  return mix;
}

at::Tensor mix_rows(const at::Tensor& rows, const SpecMix& mix) {
  return mix_rows(rows, rows, mix, 0);
}

at::Tensor mix_rows(const at::Tensor& rows, const at::Tensor& all, const SpecMix& mix,
                    int64_t first) {
  const int64_t batch = rows.size(0);
  XP_CHECK(mix.partner.size() == mix.weight.size() &&
               static_cast<int64_t>(mix.partner.size()) == all.size(0) &&
               first + batch <= all.size(0),
           "one partner and one weight a row");
  const at::Tensor partner =
      to_device(at::tensor(mix.partner, at::kLong).narrow(0, first, batch), rows.device());
  std::vector<int64_t> shape(static_cast<size_t>(rows.dim()), 1);
  shape[0] = batch;
  const at::Tensor weight =
      to_device(at::tensor(mix.weight, at::kFloat).narrow(0, first, batch), rows.device())
          .to(rows.scalar_type())
          .view(shape);
  return (rows * weight).add_(all.index_select(0, partner).mul_(1 - weight));
}

}  // namespace xp::frontend
