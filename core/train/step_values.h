#pragma once

#include <optional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>

namespace xp::train {

struct Loss;
struct StepResult;

/// The numbers of one step, where they are computed: its loss and the parts, whether the gradient
/// is finite, the norms of the groups. They are read all at once: now, which waits for the device,
/// or later, when it has long gone on.
class StepValues {
 public:
  /// `parts`: names of the parts of each loss, in their order.
  explicit StepValues(std::vector<std::string> parts) : parts_(std::move(parts)) {}

  /// Clips whose loss is `loss`, which is a mean over them: their share of the step's.
  void add(const Loss& loss, double share);
  /// [1] float32: 1 where the gradient is not finite.
  at::Tensor gradient_fault;
  /// [groups] float32; undefined = not asked for.
  at::Tensor gradient_norms;

  /// [1] float32: 1 where the loss is not finite.
  at::Tensor loss_fault() const;

  /// Sends them on their way to the host.
  void send();
  /// Into loss, parts, gradient_norms and finite_gradient of `result`. Waits for the device, or for
  /// what was sent.
  void read(StepResult& result);

 private:
  at::Tensor packed() const;

  std::vector<std::string> parts_;
  std::vector<at::Tensor> sums_;  // [] float64: loss, then parts
  at::Tensor sent_;               // pinned
  std::optional<c10::Event> arrived_;
};

}  // namespace xp::train
