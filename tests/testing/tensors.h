#pragma once

#include <vector>

#include <ATen/ATen.h>

#include "tests/testing/fixtures.h"

namespace xp::testing {

/// An array of a case as a tensor of its shape: int64 where it holds integers, else float.
inline at::Tensor tensor_of(const Array& array) {
  if (array.is_integer()) return at::tensor(array.i64).reshape(array.shape);
  return at::tensor(array.floats()).reshape(array.shape);
}

inline std::vector<float> floats_of(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.detach().to(at::kFloat).contiguous();
  return {flat.const_data_ptr<float>(), flat.const_data_ptr<float>() + flat.numel()};
}

inline std::vector<int64_t> integers_of(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.to(at::kLong).contiguous();
  return {flat.const_data_ptr<int64_t>(), flat.const_data_ptr<int64_t>() + flat.numel()};
}

}  // namespace xp::testing
