#include "core/cli/version.h"

#include <fmt/format.h>

#include "core/cli/build_id.h"

namespace xp::cli {

std::string version_text() {
  return fmt::format("exp {} ({}, g++ {})", kVersion, kBuildId, __VERSION__);
}

}  // namespace xp::cli
