#pragma once

#include "core/run/plan_run.h"

/// The command line of what plans a recipe: `exp run` and `exp recipe plan`.
namespace xp::cli {

class Arguments;
struct Session;

/// Adds RECIPE, --set, --variant, --from, --until, --force and --devices.
void declare_plan_options(Arguments& declared, run::RunArguments& arguments);

/// The plan, its notes first, as text or (session.json) JSON on stdout.
void print_plan(const run::PlannedRun& planned, const Session& session);

}  // namespace xp::cli
