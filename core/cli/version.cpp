#include "core/cli/version.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/cli/build_id.h"

namespace xp::cli {

std::string version_text() {
  return fmt::format("exp {} ({}, g++ {})", kVersion, kBuildId, __VERSION__);
}

std::string version_json() {
  return nlohmann::ordered_json({{"version", kVersion},
                                 {"commit", kBuildId},
                                 {"compiler", fmt::format("g++ {}", __VERSION__)}})
      .dump();
}

}  // namespace xp::cli
