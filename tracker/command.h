#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace xp::tracker {

/// The standard output of a short program (`git`), found on PATH, with its standard error thrown
/// away. nullopt when it cannot be started, fails, takes longer than `limit` (it is then killed) or
/// prints more than `max_bytes`. `environment` are its variables, "NAME=value"; null = ours.
std::optional<std::string> output_of(const std::vector<std::string>& argv,
                                     std::chrono::milliseconds limit, size_t max_bytes,
                                     const std::vector<std::string>* environment = nullptr);

}  // namespace xp::tracker
