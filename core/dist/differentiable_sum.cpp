#include <ATen/core/Tensor.h>
#include <torch/csrc/autograd/custom_function.h>

#include "core/dist/group.h"

namespace xp::dist {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor summed(Group& group, const at::Tensor& mine) {
  at::Tensor sum = mine.clone(at::MemoryFormat::Contiguous);
  group.sum(sum);
  return sum;
}

class SumOverRanks : public torch::autograd::Function<SumOverRanks> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& mine, int64_t group) {
    context->saved_data["group"] = group;
    return summed(*reinterpret_cast<Group*>(group), mine);
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    auto* group = reinterpret_cast<Group*>(context->saved_data["group"].toInt());
    return {summed(*group, gradients[0]), at::Tensor()};
  }
};

}  // namespace

at::Tensor differentiable_sum(Group& group, const at::Tensor& mine) {
  return SumOverRanks::apply(mine, reinterpret_cast<int64_t>(&group));
}

}  // namespace xp::dist
