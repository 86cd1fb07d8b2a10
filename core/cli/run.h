#pragma once

#include <string>

#include "core/cli/command.h"
#include "core/run/plan_run.h"
#include "core/run/run_execute.h"

namespace xp::cli {

/// `exp run`: validates, plans and prints in `exp`; exp-compute plans again and carries it out.
class RunCommand final : public Command {
 public:
  void declare(Arguments& declared) override;
  int run(Session& session) override;

  const run::RunArguments& arguments() const { return arguments_; }
  /// --profile FOLDER: for Chrome traces of trainings; "" = none.
  const std::string& profile() const { return profile_; }

 private:
  run::RunArguments arguments_;
  std::string profile_;
  bool queue_ = false;
  bool dry_run_ = false;
};

/// Prints what came of a run: the summary on stdout, the stages that failed on stderr. `session`
/// outlives what is returned.
run::RunEnded tell_outcome(const Session& session);

}  // namespace xp::cli
