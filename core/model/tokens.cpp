#include "core/model/tokens.h"

#include <ATen/ops/cat.h>

namespace xp::model {

int64_t Tokens::clips() const {
  int64_t count = 0;
  for (const Run& run : runs) count += run.clips;
  return count;
}

at::Tensor Tokens::of_run(const at::Tensor& rows, size_t index) const {
  int64_t first = 0;
  for (size_t before = 0; before < index; ++before) first += runs[before].rows();
  const Run& run = runs[index];
  return rows.narrow(0, first, run.rows()).unflatten(0, {run.clips, run.tokens});
}

at::Tensor as_rows(const std::vector<at::Tensor>& parts) {
  if (parts.size() == 1) return parts[0].flatten(0, 1);
  std::vector<at::Tensor> flat;
  for (const at::Tensor& part : parts) flat.push_back(part.flatten(0, 1));
  return at::cat(flat);
}

}  // namespace xp::model
