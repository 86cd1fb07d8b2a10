#include <algorithm>
#include <string>
#include <string_view>

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/grad_mode.h>
#include <torch/csrc/distributed/c10d/reducer.hpp>
#include <torch/headeronly/version.h>

#include "core/base/error.h"
#include "core/dist/group_impl.h"

// The Reducer's constructor changes between releases of LibTorch.
static_assert(TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR == 11,
              "check the arguments of c10d::Reducer");

namespace xp::dist {

namespace {

/// Drops the warnings of its thread while it lives.
class Quiet {
 public:
  Quiet() : guard_(&nothing_) {}

 private:
  struct Nothing final : c10::WarningHandler {
    void process(const c10::Warning&) override {}
  };
  Nothing nothing_;
  c10::WarningUtils::WarningHandlerGuard guard_;
};

/// Gloo throws plain runtime errors that name its own files; NCCL's have a type.
bool lost_connection(const std::exception& error) {
  if (dynamic_cast<const c10::DistError*>(&error) != nullptr) return true;
  return std::string_view(error.what()).find("gloo") != std::string_view::npos;
}

}  // namespace

struct GradientReducer::Impl {
  std::unique_ptr<c10d::Reducer> reducer;  // null: afterwards
  int64_t buckets = 0;
  Group* group = nullptr;
  std::vector<at::Tensor> parameters;
  std::vector<std::vector<size_t>> members;  // of the buckets: indices of parameters

  void average() const;
  void average_bucket(const std::vector<size_t>& bucket) const;
};

/// As the Reducer leaves it: a gradient that no rank has stays undefined, one that some rank lacks
/// counts as zero there.
void GradientReducer::Impl::average() const {
  const at::NoGradGuard no_grad;
  at::Tensor has = at::zeros({static_cast<int64_t>(parameters.size())}, at::kInt);
  for (size_t i = 0; i < parameters.size(); ++i)
    if (parameters[i].grad().defined()) has[static_cast<int64_t>(i)] = 1;
  at::Tensor somewhere = has.to(parameters.front().device());
  group->sum(somewhere);
  somewhere = somewhere.cpu();
  group->check();
  for (size_t i = 0; i < parameters.size(); ++i) {
    at::Tensor& gradient = parameters[i].mutable_grad();
    if (!gradient.defined() && somewhere[static_cast<int64_t>(i)].item<int>() > 0)
      gradient = at::zeros_like(parameters[i]);
  }
  for (const std::vector<size_t>& bucket : members) average_bucket(bucket);
}

void GradientReducer::Impl::average_bucket(const std::vector<size_t>& bucket) const {
  std::vector<at::Tensor> gradients, flat;
  for (const size_t i : bucket) {
    const at::Tensor& gradient = parameters[i].grad();
    if (!gradient.defined()) continue;
    gradients.push_back(gradient);
    flat.push_back(gradient.flatten());
  }
  if (flat.empty()) return;
  at::Tensor all = at::cat(flat).div_(group->size());
  group->sum(all);
  int64_t from = 0;
  for (const at::Tensor& gradient : gradients) {
    gradient.copy_(all.narrow(0, from, gradient.numel()).view_as(gradient));
    from += gradient.numel();
  }
}

GradientReducer::GradientReducer(Group& group, const std::vector<at::Tensor>& parameters,
                                 Averaging when, double bucket_mb)
    : impl_(std::make_unique<Impl>()) {
  for (const at::Tensor& parameter : parameters) {
    at::Tensor values = parameter.detach();
    group.broadcast(values);
  }
  const auto bytes = static_cast<int64_t>(bucket_mb * 1024 * 1024);
  // A small first bucket starts communicating early.
  const int64_t first_bytes = std::min<int64_t>(bytes, 1 << 20);
  const std::vector<bool> dense(parameters.size(), false);
  auto [buckets, limits] = c10d::compute_bucket_assignment_by_size(
      parameters, {static_cast<size_t>(first_bytes), static_cast<size_t>(bytes)}, dense);
  // Gradients arrive from the last layer to the first.
  std::reverse(buckets.begin(), buckets.end());
  impl_->buckets = static_cast<int64_t>(buckets.size());
  impl_->group = &group;
  impl_->parameters = parameters;
  impl_->members = buckets;
  if (when == Averaging::kAfterwards) return;
  impl_->reducer = std::make_unique<c10d::Reducer>(
      parameters, buckets, group.impl().group, dense, bytes, /*find_unused_parameters=*/true,
      /*gradient_as_bucket_view=*/false, std::unordered_map<size_t, std::string>{}, first_bytes,
      /*skip_all_reduce_unused_params=*/false, /*use_python_reducer=*/false,
      /*bucket_bytes_cap_list=*/std::vector<int64_t>{});
}

GradientReducer::~GradientReducer() = default;

void GradientReducer::begin() {
  if (impl_->reducer) impl_->reducer->prepare_for_forward();
}

void GradientReducer::backward(const at::Tensor& loss) {
  // The Reducer's warnings are about speed: that no parameter was left out this time, and that a
  // gradient of one token has unusual strides.
  const Quiet quiet;
  try {
    if (impl_->reducer) impl_->reducer->prepare_for_backward({loss});
    torch::autograd::backward({loss}, {});
    if (!impl_->reducer) impl_->average();
  } catch (const std::exception& error) {
    if (!lost_connection(error)) throw;
    throw Error(fmt::format("averaging gradients: another rank is gone ({})", first_line(error)),
                Exit::kFailed);
  }
}

int64_t GradientReducer::buckets() const { return impl_->buckets; }

}  // namespace xp::dist
