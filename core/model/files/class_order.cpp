#include "core/model/files/class_order.h"

#include <algorithm>
#include <array>
#include <string_view>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>

#include "core/base/error.h"

namespace xp::model {
namespace {

/// Layers that end in the logits: of transformers, of the CNNs' mlp, conv and attention heads (the
/// conv head's second is its norm), of pool.
constexpr auto kLayers = std::to_array<std::string_view>(
    {"head.linear.", "classifier.5.", "classifier.0.", "classifier.1.", "classifier.subspace_proj.",
     "head.weight", "head.bias"});

}  // namespace

std::vector<NamedTensor> class_tensors(const Model& model) {
  std::vector<NamedTensor> found;
  for (NamedTensor& named : model.state()) {
    const std::string_view name = named.name;
    const bool last = std::any_of(kLayers.begin(), kLayers.end(), [name](std::string_view layer) {
      return name.starts_with(layer);
    });
    if (!last || named.tensor.dim() == 0) continue;  // a norm's count of batches has no classes
    XP_CHECK(named.tensor.size(0) % model.classes() == 0,
             "entries for each class in " + named.name);
    found.push_back(std::move(named));
  }
  return found;
}

void reorder_classes(Model& model, std::span<const int64_t> from) {
  const at::NoGradGuard no_grad;
  const int64_t classes = model.classes();
  XP_CHECK(static_cast<int64_t>(from.size()) == classes, "one place for each class");
  const at::Tensor places = at::tensor(std::vector<int64_t>(from.begin(), from.end()));
  for (const NamedTensor& named : class_tensors(model)) {
    const at::Tensor by_class = named.tensor.view({named.tensor.size(0) / classes, classes, -1});
    by_class.copy_(by_class.index_select(1, places.to(named.tensor.device())));
  }
}

}  // namespace xp::model
