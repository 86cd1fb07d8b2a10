// NCCL between GPUs; compiled with the CUDA parts only.
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include "core/dist/group_impl.h"

namespace xp::dist {

c10::intrusive_ptr<c10d::Backend> make_nccl(const c10::intrusive_ptr<c10d::Store>& store, int rank,
                                            int size, std::chrono::milliseconds timeout) {
  auto options = c10d::ProcessGroupNCCL::Options::create();
  options->timeout = timeout;
  return c10::make_intrusive<c10d::ProcessGroupNCCL>(store, rank, size, options);
}

}  // namespace xp::dist
