#include "core/model/pool.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>

#include "core/model/registry.h"

namespace xp::model {

Pool::Pool(Geometry input, int64_t classes, const Init& init)
    : bins_(input.F),
      classes_(classes),
      linear_(2 * input.F, classes, Part::kHead, init.child("head")) {}

void Pool::members(Members& list) { list.child("head", linear_); }

Placement Pool::placement(std::string_view /*parameter*/) const { return {0, true}; }

Output Pool::forward(const at::Tensor& mel, const ForwardContext& context) const {
  Output output;
  if (context.lengths.empty()) {
    output.embedding = at::cat({mel.mean(2), mel.std(2, /*unbiased=*/false)}, 1);
  } else {
    std::vector<at::Tensor> clips;
    for (int64_t i = 0; i < mel.size(0); ++i) {
      const at::Tensor clip = mel[i].narrow(1, 0, context.lengths[static_cast<size_t>(i)]);
      clips.push_back(at::cat({clip.mean(1), clip.std(1, /*unbiased=*/false)}));
    }
    output.embedding = at::stack(clips);
  }
  output.logits = linear_(output.embedding);
  return output;
}

std::unique_ptr<Model> make_pool(const ModelSpec& spec) {
  return std::make_unique<Pool>(spec.geometry, spec.classes, spec.init());
}

}  // namespace xp::model
