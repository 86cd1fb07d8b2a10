#pragma once

#include "core/cli/command.h"
#include "core/cli/plan_run.h"

namespace xp::cli {

/// `exp run`: validates, plans and prints in `exp`; exp-compute plans again and carries it out.
class RunCommand final : public Command {
 public:
  void declare(Arguments& declared) override;
  int run(Session& session) override;

  const RunArguments& arguments() const { return arguments_; }

 private:
  RunArguments arguments_;
};

}  // namespace xp::cli
