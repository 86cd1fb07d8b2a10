#include "core/dist/session.h"

#include "core/dist/group.h"
#include "core/graph/stage.h"

namespace xp::dist {

int Session::rank() const { return group == nullptr ? 0 : group->rank(); }
int Session::world() const { return group == nullptr ? 1 : group->size(); }

Session single_session(const graph::StageContext& context, int64_t workers) {
  Session session;
  const auto& resources = context.resources;
  session.device = find_device(resources.devices.empty() ? "" : resources.devices.front());
  session.threads =
      share_threads(resources.threads, resources.workers > 0 ? resources.workers : workers);
  prepare_device(session.device, session.threads.compute);
  return session;
}

}  // namespace xp::dist
