// A file of its own because it wants few of ATen's headers, see folder.cmake.
#include <algorithm>
#include <memory>
#include <string_view>

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/record_function.h>

#include "core/evaluate/bench.h"

namespace xp::evaluate {
namespace {

thread_local double flop = 0;

double product(const at::Tensor& a, const at::Tensor& b) {
  // [.., m, k] x [.., k, n]: every element of the result is k multiply-adds.
  return 2.0 * static_cast<double>(a.numel()) * static_cast<double>(b.size(-1));
}

at::Tensor tensor_at(c10::ArrayRef<const c10::IValue> inputs, size_t i) {
  return i < inputs.size() && inputs[i].isTensor() ? inputs[i].toTensor() : at::Tensor();
}

/// Counts the operations that do the arithmetic; those that only call these have other names.
std::unique_ptr<at::ObserverContext> observe(const at::RecordFunction& call) {
  const std::string_view name = call.name();
  const auto inputs = call.inputs();
  const at::Tensor a = tensor_at(inputs, 0);
  const at::Tensor b = tensor_at(inputs, 1);
  const at::Tensor c = tensor_at(inputs, 2);
  if ((name == "aten::mm" || name == "aten::bmm") && b.defined()) {
    flop += product(a, b);
  } else if ((name == "aten::addmm" || name == "aten::baddbmm") && c.defined()) {
    flop += product(b, c);
  } else if (name == "aten::convolution" && b.defined() && b.dim() >= 3 && a.dim() == b.dim()) {
    // Inputs: input, weight, bias, stride, padding, dilation, transposed, output_padding, groups.
    double outputs = static_cast<double>(a.size(0) * b.size(0));
    for (int64_t axis = 2; axis < a.dim(); ++axis) {
      const auto at = [&](size_t input) {
        const auto list = inputs[input].toIntVector();
        return list[std::min(list.size() - 1, static_cast<size_t>(axis - 2))];
      };
      const int64_t reach = at(5) * (b.size(axis) - 1) + 1;
      const int64_t length = (a.size(axis) + 2 * at(4) - reach) / at(3) + 1;
      outputs *= static_cast<double>(length);
    }
    const int64_t weights = b.numel() / b.size(0);
    flop += 2 * outputs * static_cast<double>(weights);
  } else if (name.starts_with("aten::_scaled_dot_product_") &&
             name != "aten::_scaled_dot_product_attention_math" && c.defined()) {
    // q k^T and its product with v: [B, H, N, d].
    flop += 4.0 * static_cast<double>(a.numel()) * static_cast<double>(b.size(-2));
  }
  return nullptr;
}

}  // namespace

double count_flop(const model::Model& model, const model::Input& input,
                  const model::Reducers* reducers) {
  const at::NoGradGuard no_grad;
  flop = 0;
  const auto handle = at::addThreadLocalCallback(
      at::RecordFunctionCallback(&observe).needsInputs(true).scopes({at::RecordScope::FUNCTION}));
  model::Pass pass;
  pass.reducers = reducers;
  model.forward(input, pass);
  at::removeCallback(handle);
  return flop;
}

}  // namespace xp::evaluate
