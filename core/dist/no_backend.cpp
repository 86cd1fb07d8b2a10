#include "core/base/error.h"
#include "core/dist/group_impl.h"

namespace xp::dist {

#ifndef XP_WITH_CUDA
c10::intrusive_ptr<c10d::Backend> make_nccl(const c10::intrusive_ptr<c10d::Store>&, int, int,
                                            std::chrono::milliseconds) {
  throw Error("this program was built without CUDA: gpu devices need the preset `cuda`");
}
#endif

}  // namespace xp::dist
