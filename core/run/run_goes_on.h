#pragma once

#include <string>
#include <vector>

#include "core/graph/graph.h"
#include "tracker/query.h"
#include "tracker/store.h"

namespace xp::run {

/// Why a run is not one that `graph` goes on with, although both are of one recipe: a stage that it
/// began has another key by now (other contents of the user's files, other code, other devices).
/// While nobody has read those files their paths in `params` have to be the run's as well. "" where
/// the run may be gone on with.
std::string why_another(const tracker::RunInfo& info, const tracker::RunDetail& detail,
                        const graph::Graph& graph, const std::vector<tracker::Param>& params);

/// The same of the run `uid`. One whose record cannot be read is none to go on with, and that is
/// why.
std::string why_another(tracker::Query& query, const std::string& uid, const graph::Graph& graph,
                        const std::vector<tracker::Param>& params);

}  // namespace xp::run
