#pragma once

#include <c10/core/impl/LocalDispatchKeySet.h>

namespace xp::model {

/// Reducers choose their own precision: no autocast while it lives.
struct NoAutocast {
  c10::impl::ExcludeDispatchKeyGuard guard{c10::autocast_dispatch_keyset};
};

}  // namespace xp::model
