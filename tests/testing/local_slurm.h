#pragma once

#include <filesystem>
#include <string>

namespace xp::testing {

/// A real Slurm on this machine, one controller and one node of two cores, as long as this lives;
/// SLURM_CONF names it meanwhile. It needs root, munge and Debian's slurm-wlm.
class LocalSlurm {
 public:
  /// `folder` takes its configuration, state and logs.
  explicit LocalSlurm(std::filesystem::path folder);
  ~LocalSlurm();
  LocalSlurm(const LocalSlurm&) = delete;
  LocalSlurm& operator=(const LocalSlurm&) = delete;

  /// Why there is none here; "" = it takes jobs.
  const std::string& missing() const { return missing_; }

 private:
  std::string start();

  std::filesystem::path folder_;
  std::string missing_;
};

}  // namespace xp::testing
