#pragma once

#include <string>

#include "core/cli/command.h"
#include "core/cli/sweep.h"
#include "sweeps/sweep_work.h"

namespace xp::cli {

/// `exp sweeps`: status, cancel and resume in `exp`; `work`, which executors start, in exp-compute.
class SweepsCommand final : public Command {
 public:
  void declare(Arguments& declared) override;
  int run(Session& session) override;

  /// Of `work`.
  const sweeps::SweepShare& share() const { return share_; }
  /// With the devices and threads of the command line.
  run::Workspace asked_workspace(const Session& session) const;

 private:
  int list(const Session& session, const run::Workspace& workspace) const;
  int status(const Session& session, const run::Workspace& workspace) const;
  int cancel(const run::Workspace& workspace) const;

  std::string action_;
  sweeps::SweepShare share_;
  PlaceOptions place_;
  int threads_ = 0;
};

}  // namespace xp::cli
