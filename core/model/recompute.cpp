#include "core/model/recompute.h"

#include <utility>

#include <ATen/autocast_mode.h>
#include <ATen/core/grad_mode.h>
#include <ATen/core/ivalue.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

namespace xp::model {
namespace {

using Work = std::function<at::Tensor(const at::Tensor&, bool)>;

struct Autocast {
  at::DeviceType device;
  bool on;
  at::ScalarType dtype;

  static Autocast of(const at::Tensor& x) {
    const at::DeviceType type = x.device().type();
    return {type, at::autocast::is_autocast_enabled(type), at::autocast::get_autocast_dtype(type)};
  }
  void set() const {
    at::autocast::set_autocast_enabled(device, on);
    at::autocast::set_autocast_dtype(device, dtype);
  }
};

/// Autocast as it was in the forward pass, while it lives. The casts of the weights that it makes
/// end with it: left in ATen's cache they would be used for the next step's weights.
class AutocastAgain {
 public:
  AutocastAgain(const Autocast& saved, const at::Tensor& x) : before_(Autocast::of(x)) {
    saved.set();
    at::autocast::increment_nesting();
  }
  ~AutocastAgain() {
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    before_.set();
  }
  AutocastAgain(const AutocastAgain&) = delete;
  AutocastAgain& operator=(const AutocastAgain&) = delete;

 private:
  Autocast before_;
};

struct Saved : torch::CustomClassHolder {
  Work work;
  Autocast autocast;
};

class Recompute : public torch::autograd::Function<Recompute> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            const at::Tensor& /*parameter*/, Work work) {
    auto saved = c10::make_intrusive<Saved>();
    saved->work = std::move(work);
    saved->autocast = Autocast::of(x);
    context->save_for_backward({x});
    at::Tensor result = saved->work(x, false);
    context->saved_data["saved"] = c10::IValue::make_capsule(std::move(saved));
    return result;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const auto saved =
        c10::static_intrusive_pointer_cast<Saved>(context->saved_data["saved"].toCapsule());
    const at::Tensor original = context->get_saved_variables()[0];
    const at::Tensor x = original.detach().set_requires_grad(original.requires_grad());
    at::Tensor result;
    {
      const at::AutoGradMode grad_mode(true);
      const AutocastAgain autocast(saved->autocast, x);
      result = saved->work(x, true);
    }
    torch::autograd::backward({result}, {grads[0]});
    return {x.grad(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor recomputed(const at::Tensor& x, const at::Tensor& parameter, Work work) {
  if (!at::GradMode::is_enabled()) return work(x, false);
  return Recompute::apply(x, parameter, std::move(work));
}

}  // namespace xp::model
