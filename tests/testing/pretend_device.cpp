// How it works: every operator of ATen that has no kernel below comes to `run_on_cpu`, which hands
// the CPU's kernel tensors over the open mapping of the same memory. Results of that kernel that
// share the memory of an argument become views of it, all others are copied into device memory.
#include "tests/testing/pretend_device.h"

#include <array>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>
#include <ATen/autocast_mode.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/record_function.h>
#include <torch/library.h>

#include "tests/testing/pretend_backend.h"
#include "tests/testing/pretend_memory.h"

namespace xp::testing {
namespace {

using Kernel = PretendStreams::Kernel;

constexpr c10::DispatchKeySet kKeys(c10::DispatchKey::PrivateUse1);

PretendStreams& streams() { return PretendStreams::get(); }
PretendMemory& memory() { return PretendMemory::get(); }

bool on_device(const at::Tensor& tensor) {
  return tensor.defined() && tensor.device().type() == kPretendType;
}

/// The first byte of a tensor's storage in the open mapping.
char* open_storage(const at::Tensor& tensor) {
  return memory().open(static_cast<char*>(const_cast<void*>(tensor.storage().data())));
}

/// The same memory as a tensor of the CPU, for a kernel.
at::Tensor opened(const at::Tensor& tensor) {
  const auto options = at::TensorOptions().dtype(tensor.dtype()).device(c10::kCPU);
  char* const first = open_storage(tensor);
  if (first == nullptr) return at::empty_strided(tensor.sizes(), tensor.strides(), options);
  return at::from_blob(
      first + tensor.storage_offset() * static_cast<int64_t>(tensor.itemsize()), tensor.sizes(),
      tensor.strides(), [](void*) {}, options);
}

at::Tensor empty_strided(at::IntArrayRef sizes, at::IntArrayRef strides,
                         std::optional<at::ScalarType> type, std::optional<at::Layout>,
                         std::optional<at::Device>, std::optional<bool>) {
  return at::detail::empty_strided_generic(sizes, strides, c10::GetAllocator(kPretendType), kKeys,
                                           type.value_or(at::kFloat));
}

at::Tensor empty(at::IntArrayRef sizes, std::optional<at::ScalarType> type,
                 std::optional<at::Layout>, std::optional<at::Device>, std::optional<bool>,
                 std::optional<at::MemoryFormat> format) {
  return at::detail::empty_generic(sizes, c10::GetAllocator(kPretendType), kKeys,
                                   type.value_or(at::kFloat), format);
}

/// What a kernel of the CPU made, in device memory.
at::Tensor taken_over(const at::Tensor& result) {
  const at::Tensor tensor =
      empty_strided(result.sizes(), result.strides(), result.scalar_type(), {}, {}, {});
  opened(tensor).copy_(result);
  return tensor;
}

at::Tensor view_of(const at::Tensor& base, const caffe2::TypeMeta& type, at::IntArrayRef sizes,
                   at::IntArrayRef strides, int64_t offset) {
  auto impl = c10::make_intrusive<c10::TensorImpl>(c10::Storage(base.storage()), kKeys, type);
  impl->set_sizes_and_strides(sizes, strides, offset);
  return at::Tensor(std::move(impl));
}

at::Tensor as_strided(const at::Tensor& tensor, at::IntArrayRef sizes, at::IntArrayRef strides,
                      std::optional<int64_t> offset) {
  return view_of(tensor, tensor.dtype(), sizes, strides, offset.value_or(tensor.storage_offset()));
}

void resize_to(const at::Tensor& tensor, at::IntArrayRef sizes) {
  const int64_t elements = c10::multiply_integers(sizes) + tensor.storage_offset();
  const size_t bytes = static_cast<size_t>(elements) * tensor.itemsize();
  if (tensor.storage().nbytes() < bytes)
    at::detail::getPrivateUse1Hooks().resizePrivateUse1Bytes(tensor.storage(), bytes);
  tensor.unsafeGetTensorImpl()->set_sizes_contiguous(sizes);
}

const at::Tensor& resize(const at::Tensor& tensor, at::IntArrayRef sizes,
                         std::optional<at::MemoryFormat>) {
  resize_to(tensor, sizes);
  return tensor;
}

bool plain_copy(const at::Tensor& from, const at::Tensor& to) {
  return from.dtype() == to.dtype() && from.is_contiguous() && to.is_contiguous() &&
         from.numel() > 0;
}

void copy_to_device(const at::Tensor& from, const at::Tensor& to, bool non_blocking) {
  const bool pinned = streams().pinned(from.const_data_ptr());
  if (non_blocking && pinned && plain_copy(from, to)) {
    streams().copy_in(opened(to).mutable_data_ptr(), from.const_data_ptr(), from.nbytes());
    return;
  }
  if (!non_blocking)
    streams().wait(PretendStreams::current(), "copy to the device");
  else if (!pinned && from.numel() > 0)
    streams().count_pageable();
  const Kernel kernel;
  opened(to).copy_(from);
}

void copy_to_host(const at::Tensor& from, const at::Tensor& to, bool non_blocking) {
  if (non_blocking && streams().pinned(to.const_data_ptr()) && plain_copy(from, to)) {
    streams().copy_out(to.mutable_data_ptr(), opened(from).const_data_ptr(), from.nbytes());
    return;
  }
  streams().wait(PretendStreams::current(), "copy to the host");
  const Kernel kernel;
  to.copy_(opened(from));
}

at::Tensor copy_from(const at::Tensor& from, const at::Tensor& to, bool non_blocking) {
  if (!on_device(to)) {
    copy_to_host(from, to, non_blocking);
  } else if (!on_device(from)) {
    copy_to_device(from, to, non_blocking);
  } else {
    const Kernel kernel;
    opened(to).copy_(opened(from));
  }
  return to;
}

at::Tensor copy_from_and_resize(const at::Tensor& from, const at::Tensor& to) {
  if (on_device(to) && to.sizes() != from.sizes()) resize_to(to, from.sizes());
  return copy_from(from, to, false);
}

at::Scalar local_scalar(const at::Tensor& tensor) {
  streams().wait(PretendStreams::current(), "item");
  const Kernel kernel;
  return opened(tensor).item();
}

void record_stream(at::Tensor&, c10::Stream) {}

at::Tensor convolution(const at::Tensor& x, const at::Tensor& weight,
                       const std::optional<at::Tensor>& bias, c10::SymIntArrayRef stride,
                       c10::SymIntArrayRef padding, c10::SymIntArrayRef dilation, bool transposed,
                       c10::SymIntArrayRef output_padding, c10::SymInt groups) {
  const Kernel kernel;
  const auto added = bias && bias->defined() ? std::optional(opened(*bias)) : std::nullopt;
  return taken_over(at::convolution_symint(opened(x), opened(weight), added, stride, padding,
                                           dilation, transposed, output_padding, groups));
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> convolution_backward(
    const at::Tensor& grad, const at::Tensor& x, const at::Tensor& weight,
    c10::SymIntArrayRef stride, c10::SymIntArrayRef padding, c10::SymIntArrayRef dilation,
    bool transposed, c10::SymIntArrayRef output_padding, c10::SymInt groups,
    std::array<bool, 3> wanted) {
  const Kernel kernel;
  const std::array<c10::SymInt, 1> bias_sizes{weight.sym_size(0)};
  const auto [of_x, of_weight, of_bias] = at::convolution_backward_symint(
      opened(grad), opened(x), opened(weight), c10::SymIntArrayRef(bias_sizes), stride, padding,
      dilation, transposed, output_padding, groups, wanted);
  const auto given = [](const at::Tensor& t) { return t.defined() ? taken_over(t) : t; };
  return {given(of_x), given(of_weight), given(of_bias)};
}

/// One call of an operator by the CPU's kernel.
class Call {
 public:
  Call(const c10::OperatorHandle& op, torch::jit::Stack& stack)
      : op_(op),
        stack_(stack),
        first_(stack.size() - op.schema().arguments().size()),
        given_(stack.begin() + static_cast<int64_t>(first_), stack.end()) {}

  void run() {
    for (size_t i = 0; i < given_.size(); ++i) take_argument(i);
    if (!stranger_.empty() && !bases_.empty())
      TORCH_CHECK(false, "tensors of two devices: ", op_.schema().name(), " beside the device's ",
                  "got ", stranger_);
    {
      const at::DisableRecordFunctionGuard inner_operators_are_not_counted;
      op_.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), &stack_);
    }
    for (const Output& output : outputs_) {
      if (output.cpu.sizes() != output.device.sizes()) resize_to(output.device, output.cpu.sizes());
      if (output.cpu.numel() > 0) opened(output.device).copy_(output.cpu);
    }
    const size_t returns = op_.schema().returns().size();
    for (size_t i = 0; i < returns; ++i) take_result(i, stack_[stack_.size() - returns + i]);
  }

 private:
  struct Output {
    at::Tensor device, cpu;
  };

  at::Tensor argument(const at::Tensor& tensor, bool sized_by_kernel) {
    if (!tensor.defined()) return tensor;
    if (!on_device(tensor)) {
      if (tensor.dim() > 0)
        stranger_ = c10::str("a tensor ", tensor.sizes(), " of ", tensor.device());
      return tensor;
    }
    bases_.push_back(tensor);
    if (!sized_by_kernel) return opened(tensor);
    outputs_.push_back({tensor, at::empty({0}, at::TensorOptions().dtype(tensor.dtype()))});
    return outputs_.back().cpu;
  }

  void take_argument(size_t i) {
    const c10::Argument& formal = op_.schema().arguments()[i];
    const bool written = formal.alias_info() != nullptr && formal.alias_info()->isWrite();
    c10::IValue& value = stack_[first_ + i];
    if (value.isTensor()) {
      const bool sized = written && (formal.kwarg_only() || value.toTensor().numel() == 0);
      value = argument(value.toTensor(), sized);
    } else if (value.isTensorList()) {
      c10::List<at::Tensor> list;
      for (const at::Tensor& tensor : value.toTensorVector())
        list.push_back(argument(tensor, written && formal.kwarg_only()));
      value = list;
    } else if (value.isOptionalTensorList()) {
      c10::List<std::optional<at::Tensor>> list;
      for (const auto& tensor : value.toOptionalTensorVector())
        list.push_back(tensor ? std::optional(argument(*tensor, false)) : std::nullopt);
      value = list;
    } else if (value.isDevice() && value.toDevice().type() == kPretendType) {
      value = c10::Device(c10::kCPU);
    }
  }

  at::Tensor result(const at::Tensor& tensor) const {
    if (!tensor.defined()) return tensor;
    const void* const data = tensor.numel() > 0 ? tensor.const_data_ptr() : nullptr;
    if (data == nullptr || !memory().reaches(data)) return taken_over(tensor);
    for (const at::Tensor& base : bases_) {
      const char* const first = open_storage(base);
      const int64_t bytes = static_cast<const char*>(data) - first;
      if (first == nullptr || bytes < 0 || bytes >= static_cast<int64_t>(base.storage().nbytes()))
        continue;
      return view_of(base, tensor.dtype(), tensor.sizes(), tensor.strides(),
                     bytes / static_cast<int64_t>(tensor.itemsize()));
    }
    TORCH_CHECK(false, op_.schema().name(), " returned device memory of no argument");
  }

  void take_result(size_t i, c10::IValue& value) {
    const auto* const alias = op_.schema().returns()[i].alias_info();
    if (alias != nullptr && alias->isWrite()) {  // an argument itself
      for (size_t j = 0; j < given_.size(); ++j) {
        const auto* const of = op_.schema().arguments()[j].alias_info();
        if (of == nullptr || !(*of == *alias)) continue;
        value = given_[j];
        return;
      }
    }
    if (value.isTensor()) {
      value = result(value.toTensor());
    } else if (value.isTensorList()) {
      c10::List<at::Tensor> list;
      for (const at::Tensor& tensor : value.toTensorVector()) list.push_back(result(tensor));
      value = list;
    } else if (!value.isNone()) {  // a number or a truth: the host had to wait for it
      streams().wait(PretendStreams::current(), op_.schema().name().c_str());
    }
  }

  const c10::OperatorHandle& op_;
  torch::jit::Stack& stack_;
  size_t first_;
  std::vector<c10::IValue> given_;
  std::vector<at::Tensor> bases_;
  std::vector<Output> outputs_;
  std::string stranger_;
};

void run_on_cpu(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const Kernel kernel;
  Call(op, *stack).run();
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  m.impl("empty.memory_format", &empty);
  m.impl("empty_strided", &empty_strided);
  m.impl("as_strided", &as_strided);
  m.impl("resize_", &resize);
  m.impl("_copy_from", &copy_from);
  m.impl("_copy_from_and_resize", &copy_from_and_resize);
  m.impl("_local_scalar_dense", &local_scalar);
  m.impl("record_stream", &record_stream);
  m.impl("convolution_overrideable", &convolution);
  m.impl("convolution_backward_overrideable", &convolution_backward);
}
TORCH_LIBRARY_IMPL(_, PrivateUse1, m) {
  m.fallback(torch::CppFunction::makeFromBoxedFunction<&run_on_cpu>());
}
TORCH_LIBRARY_IMPL(_, AutocastPrivateUse1, m) { m.fallback(torch::CppFunction::makeFallthrough()); }

}  // namespace

c10::Device pretend_device() {
  static const bool made = (install_pretend_backend(), true);
  (void)made;
  return {kPretendType, 0};
}

DeviceWork device_work() { return streams().work(); }

}  // namespace xp::testing

// What the CPU's autocast does, as far as models here use it: so 16-bit results are the CPU's.
using namespace at::autocast;  // the macros name their policies without it
namespace at {
TORCH_LIBRARY_IMPL(aten, AutocastPrivateUse1, m) {
  KERNEL_PRIVATEUSEONE(linear, lower_precision_fp)
  KERNEL_PRIVATEUSEONE(matmul, lower_precision_fp)
  KERNEL_PRIVATEUSEONE(bmm, lower_precision_fp)
  KERNEL_PRIVATEUSEONE(mm, lower_precision_fp)
  KERNEL_PRIVATEUSEONE(baddbmm, lower_precision_fp)
  KERNEL_PRIVATEUSEONE(addmm, lower_precision_fp)
  KERNEL_PRIVATEUSEONE(conv2d, lower_precision_fp)
  KERNEL_PRIVATEUSEONE(scaled_dot_product_attention, lower_precision_fp)
  KERNEL_PRIVATEUSEONE(mse_loss, fp32)
}
}  // namespace at
