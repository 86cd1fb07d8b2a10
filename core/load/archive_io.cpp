#include "core/load/archive_io.h"

#include <cstring>
#include <memory>
#include <utility>

#include <ATen/ATen.h>

#include "core/base/error.h"

namespace xp::load {
namespace {

using checkpoint::Dtype;

constexpr std::pair<at::ScalarType, Dtype> kTypes[] = {
    {at::kFloat, Dtype::kF32},        {at::kDouble, Dtype::kF64},
    {at::kHalf, Dtype::kF16},         {at::kBFloat16, Dtype::kBf16},
    {at::kLong, Dtype::kI64},         {at::kInt, Dtype::kI32},
    {at::kShort, Dtype::kI16},        {at::kChar, Dtype::kI8},
    {at::kByte, Dtype::kU8},          {at::kBool, Dtype::kBool},
    {at::kComplexFloat, Dtype::kC64}, {at::kComplexDouble, Dtype::kC128}};

}  // namespace

void add_tensor(checkpoint::Archive& archive, std::string name, const at::Tensor& tensor) {
  const auto values = std::make_shared<at::Tensor>(tensor.detach().cpu().contiguous());
  checkpoint::Entry entry;
  entry.name = std::move(name);
  entry.shape = values->sizes().vec();
  bool known = false;
  for (const auto& [type, dtype] : kTypes) {
    if (type != values->scalar_type()) continue;
    entry.dtype = dtype;
    known = true;
  }
  XP_CHECK(known, "no dtype of an archive fits the tensor " + entry.name);
  entry.bytes = {static_cast<const std::byte*>(values->data_ptr()), values->nbytes()};
  entry.owner = values;
  archive.add(std::move(entry));
}

at::Tensor to_tensor(const checkpoint::Entry& entry) {
  at::ScalarType type = at::kFloat;
  for (const auto& [scalar, dtype] : kTypes)
    if (dtype == entry.dtype) type = scalar;
  at::Tensor tensor = at::empty(entry.shape, at::TensorOptions().dtype(type));
  if (!entry.bytes.empty()) std::memcpy(tensor.data_ptr(), entry.bytes.data(), entry.bytes.size());
  return tensor;
}

}  // namespace xp::load
