#pragma once

#include <string>
#include <vector>

namespace xp::cli {

/// NAME=VERSION of the libraries that compute in this process: libtorch, and nccl where this
/// process has it loaded. Recorded with every run.
std::vector<std::string> library_versions();

}  // namespace xp::cli
