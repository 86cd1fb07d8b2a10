#include "core/train/batch_norm.h"

#include <algorithm>
#include <vector>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/grad_mode.h>

namespace xp::train {
namespace {

void fill(const std::vector<at::Tensor>& tensors, double value) {
  for (const at::Tensor& tensor : tensors) tensor.fill_(value);
}

}  // namespace

void reestimate_batch_norm(const model::Model& model, Task& task, batches::Batches& batches,
                           int64_t steps) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> running;
  for (const model::NamedTensor& named : model.buffers())
    if (named.name.ends_with("running_mean") || named.name.ends_with("running_var"))
      running.push_back(named.tensor);
  if (running.empty()) return;
  // A layer keeps r <- (1 - m) r + m b with a momentum m of its own. From r = 0 one batch leaves m
  // b; the same batch from r = 1 leaves (1 - m) + m b, which tells m.
  std::vector<at::Tensor> sums, rest;
  int64_t count = 0;
  batches.start(0, 0);
  for (; count < std::min(steps, batches.steps_per_epoch()); ++count) {
    const auto batch = batches.next();
    if (!batch) break;
    task.begin(*batch, {count, 0});
    if (count == 0) {
      fill(running, 1);
      task.loss(0, batch->size);
      for (const at::Tensor& tensor : running) rest.push_back(tensor.clone());
    }
    fill(running, 0);
    task.loss(0, batch->size);
    for (size_t i = 0; i < running.size(); ++i) {
      if (count == 0) {
        rest[i] -= running[i];  // 1 - m
        sums.push_back(at::zeros_like(running[i]));
      }
      sums[i] += running[i] / (1 - rest[i]);
    }
  }
  for (size_t i = 0; i < sums.size(); ++i) running[i].copy_(sums[i] / static_cast<double>(count));
}

}  // namespace xp::train
