#include "core/model/files/archive_tensors.h"

#include <array>
#include <cstring>
#include <utility>

#include <ATen/ops/empty.h>
#include <c10/core/ScalarType.h>

#include "core/base/error.h"

namespace xp::model {
namespace {

using checkpoint::Dtype;

constexpr std::array<std::pair<Dtype, at::ScalarType>, 12> kTypes{
    {{Dtype::kF32, at::kFloat},
     {Dtype::kF64, at::kDouble},
     {Dtype::kF16, at::kHalf},
     {Dtype::kBf16, at::kBFloat16},
     {Dtype::kI64, at::kLong},
     {Dtype::kI32, at::kInt},
     {Dtype::kI16, at::kShort},
     {Dtype::kI8, at::kChar},
     {Dtype::kU8, at::kByte},
     {Dtype::kBool, at::kBool},
     {Dtype::kC64, at::kComplexFloat},
     {Dtype::kC128, at::kComplexDouble}}};

}  // namespace

at::Tensor to_tensor(const checkpoint::Entry& entry) {
  for (const auto& [dtype, type] : kTypes) {
    if (dtype != entry.dtype) continue;
    at::Tensor tensor = at::empty(entry.shape, at::TensorOptions(type));
    if (!entry.bytes.empty())
      std::memcpy(tensor.mutable_data_ptr(), entry.bytes.data(), entry.bytes.size());
    return tensor;
  }
  XP_CHECK(false, "stored type without a tensor type");
  return {};
}

checkpoint::Entry to_entry(std::string name, const at::Tensor& tensor) {
  for (const auto& [dtype, type] : kTypes) {
    if (type != tensor.scalar_type()) continue;
    auto kept = std::make_shared<at::Tensor>(tensor.detach().cpu().contiguous());
    checkpoint::Entry entry;
    entry.name = std::move(name);
    entry.dtype = dtype;
    entry.shape = kept->sizes().vec();
    entry.bytes = {static_cast<const std::byte*>(kept->const_data_ptr()), kept->nbytes()};
    entry.owner = std::move(kept);
    return entry;
  }
  throw Error("'" + name + "' has the type " + c10::toString(tensor.scalar_type()) +
                  ", which checkpoints cannot hold",
              Exit::kFailed);
}

}  // namespace xp::model
