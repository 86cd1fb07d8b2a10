#include "core/model/reduce/reducer.h"

#include <cmath>

#include <ATen/TensorIndexing.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>

#include "core/model/reduce/no_autocast.h"
#include "core/schema/reductions.h"

namespace xp::model {

#define XP_REDUCER(section, Options) \
  std::shared_ptr<const Reducer> make_##section(const schema::Options& options, int64_t depth);
#include "core/schema/reducers.inc"
#undef XP_REDUCER

void Attended::add(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& bias) {
  runs_.push_back({queries.detach(), keys.detach(), bias.defined() ? bias.detach() : at::Tensor()});
}

at::Tensor Attended::attention_of(size_t run, int64_t query) const {
  const NoAutocast no_autocast;
  const Shown& shown = runs_[run];
  const at::Tensor asking = shown.queries.narrow(2, query, 1).to(at::kFloat);
  const double scale = 1 / std::sqrt(static_cast<double>(asking.size(3)));
  at::Tensor scores = at::matmul(asking * scale, shown.keys.to(at::kFloat).transpose(2, 3));
  if (shown.bias.defined()) scores = scores + shown.bias.unsqueeze(1).unsqueeze(1);
  return at::softmax(scores, -1).mean(1).squeeze(1);
}

void Attended::take(size_t run, const at::Tensor& index) {
  Shown& shown = runs_[run];
  const at::Tensor rows =
      index.unsqueeze(1).unsqueeze(-1).expand({-1, shown.keys.size(1), -1, shown.keys.size(3)});
  shown.queries = shown.queries.gather(2, rows);
  shown.keys = shown.keys.gather(2, rows);
  if (shown.bias.defined()) shown.bias = shown.bias.gather(1, index);
}

Reducers make_reducers(const schema::Reductions& reductions, int64_t depth) {
  Reducers reducers;
#define XP_REDUCER(section, Options)                   \
  if (reductions.section && reductions.section->any()) \
    reducers.push_back(make_##section(*reductions.section, depth));
#include "core/schema/reducers.inc"
#undef XP_REDUCER
  return reducers;
}

}  // namespace xp::model
