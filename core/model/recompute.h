#pragma once

#include <functional>

#include <ATen/core/Tensor.h>

namespace xp::model {

/// work(x), whose inside is not kept for the backward pass but computed again then, under the same
/// autocast state. `work` must be a function of x and of parameters alone (random masks by key, not
/// by generator state); it is told whether it runs again. `parameter` is one of the parameters that
/// it uses: with it the result takes part in autograd even if x does not.
at::Tensor recomputed(const at::Tensor& x, const at::Tensor& parameter,
                      std::function<at::Tensor(const at::Tensor& x, bool again)> work);

}  // namespace xp::model
