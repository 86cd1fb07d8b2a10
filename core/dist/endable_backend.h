#pragma once

#include <torch/csrc/distributed/c10d/Backend.hpp>

/// A backend whose waiting calls can be ended: for core/dist itself.
namespace xp::dist {

/// Hands collective calls to `backend` (gloo) and gives back work that ends with it, or with an
/// error as soon as `abort()` is called, from any thread. Gloo has no such call: it ends by itself
/// when a connection is lost, but not always: a receive that begins while its connection closes
/// is left waiting until the timeout. Where gloo still works when this object goes, it is left
/// behind: its destructor would wait too.
c10::intrusive_ptr<c10d::Backend> make_endable(c10::intrusive_ptr<c10d::Backend> backend);

}  // namespace xp::dist
