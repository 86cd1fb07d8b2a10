#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "tracker/store.h"

namespace xp::tracker {

/// The run `uid` of the workspace, opened for writing by this process: made new, or with a further
/// attempt.
std::unique_ptr<Run> make_run(std::filesystem::path workspace, std::string uid, const NewRun& run,
                              const RunOptions& options, bool resume);

}  // namespace xp::tracker
