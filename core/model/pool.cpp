#include "core/model/pool.h"

#include <ATen/ops/cat.h>

#include "core/model/registry.h"
#include "core/model/widths.h"

namespace xp::model {

Pool::Pool(Geometry input, int64_t classes, const Init& init)
    : bins_(input.F),
      classes_(classes),
      linear_(2 * input.F, classes, Part::kHead, init.child("head")) {}

void Pool::members(Members& list) { list.child("head", linear_); }

Placement Pool::placement(std::string_view /*parameter*/) const { return {0, true}; }

Output Pool::forward(const Input& input, const Pass& /*pass*/) const {
  const Widths widths(input.spectrograms.frames);
  std::vector<at::Tensor> pooled;
  for (const Widths::Group& group : widths.groups()) {
    const at::Tensor mel = widths.mel(input, group, group.width);
    pooled.push_back(at::cat({mel.mean(2), mel.std(2, /*unbiased=*/false)}, 1));
  }
  Output output;
  output.embedding = widths.restore(pooled);
  output.logits = linear_(output.embedding);
  return output;
}

std::unique_ptr<Model> make_pool(const ModelSpec& spec) {
  return std::make_unique<Pool>(spec.geometry, spec.classes, spec.init());
}

}  // namespace xp::model
