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
  std::unique_ptr<c10d::Reducer> reducer;
  int64_t buckets = 0;
};

GradientReducer::GradientReducer(Group& group, const std::vector<at::Tensor>& parameters,
                                 double bucket_mb)
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
  impl_->reducer = std::make_unique<c10d::Reducer>(
      parameters, buckets, group.impl().group, dense, bytes, /*find_unused_parameters=*/true,
      /*gradient_as_bucket_view=*/false, std::unordered_map<size_t, std::string>{}, first_bytes,
      /*skip_all_reduce_unused_params=*/false, /*use_python_reducer=*/false,
      /*bucket_bytes_cap_list=*/std::vector<int64_t>{});
}

GradientReducer::~GradientReducer() = default;

void GradientReducer::begin() { impl_->reducer->prepare_for_forward(); }

void GradientReducer::backward(const at::Tensor& loss) {
  // The Reducer's warnings are about speed: that no parameter was left out this time, and that a
  // gradient of one token has unusual strides.
  const Quiet quiet;
  try {
    impl_->reducer->prepare_for_backward({loss});
    torch::autograd::backward({loss}, {});
  } catch (const std::exception& error) {
    if (!lost_connection(error)) throw;
    throw Error(fmt::format("averaging gradients: another rank is gone ({})", first_line(error)),
                Exit::kFailed);
  }
}

int64_t GradientReducer::buckets() const { return impl_->buckets; }

}  // namespace xp::dist
