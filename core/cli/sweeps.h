#pragma once

#include <string>

#include "core/cli/command.h"
#include "core/cli/sweep.h"

namespace xp::graph {
class Runner;
}

namespace xp::cli {

/// `exp sweeps`: status, cancel and resume in `exp`; `work`, which executors start, in exp-compute.
class SweepsCommand final : public Command {
 public:
  void declare(Arguments& declared) override;
  int run(Session& session) override;

  const std::string& id() const { return id_; }
  const run::RunArguments& arguments() const { return run_; }
  const SweepPlace& place() const { return place_; }
  bool shared() const { return shared_; }
  int64_t trial() const { return trial_; }
  const std::string& job() const { return job_; }

 private:
  int list(const Session& session, const run::Workspace& workspace) const;
  int status(const Session& session, const run::Workspace& workspace) const;
  int cancel(const run::Workspace& workspace) const;

  std::string action_, id_, job_;
  run::RunArguments run_;
  SweepPlace place_;
  bool shared_ = false;
  int64_t trial_ = 0;
};

/// The work of `exp sweeps work`, with `runner` for the stages. Returns the exit code.
int work_on_sweep(const SweepsCommand& command, const Session& session, graph::Runner& runner,
                  const std::vector<std::string>& versions);

}  // namespace xp::cli
