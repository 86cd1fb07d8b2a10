// LibTorch's own gloo, through its class ProcessGroupGloo. Its header wants gloo's headers, which
// no package ships in this version; gloo_shim/ declares what it needs. Nothing of gloo is called or
// made here, and the layout of the class does not depend on gloo's types. A new LibTorch needs a
// look at both.
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/headeronly/version.h>

#include "core/dist/group_impl.h"

static_assert(TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR == 11,
              "check gloo_shim/ against the new ProcessGroupGloo.hpp");

namespace xp::dist {

c10::intrusive_ptr<c10d::Backend> make_gloo(const c10::intrusive_ptr<c10d::Store>& store, int rank,
                                            int size, std::chrono::milliseconds timeout) {
  auto options = c10d::ProcessGroupGloo::Options::create(timeout);
  options->devices.push_back(c10d::ProcessGroupGloo::createDefaultDevice());
  return c10::make_intrusive<c10d::ProcessGroupGloo>(store, rank, size, options);
}

}  // namespace xp::dist
