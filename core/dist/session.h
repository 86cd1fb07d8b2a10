#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "core/dist/device.h"

namespace xp::graph {
struct StageContext;
}

namespace xp::dist {

class Group;

/// Where one rank of a stage computes.
struct Session {
  at::Device device = at::kCPU;
  Group* group = nullptr;  ///< null for one rank
  Threads threads;

  int rank() const;
  int world() const;
};

/// Where a stage that runs on one device computes: the first of `context.resources.devices`.
Session single_session(const graph::StageContext& context, int64_t workers);

}  // namespace xp::dist
