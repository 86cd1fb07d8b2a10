#include "core/cli/plan_options.h"

#include <fmt/format.h>

#include "core/base/log.h"
#include "core/cli/arguments.h"
#include "core/cli/command.h"

namespace xp::cli {

void declare_plan_options(Arguments& declared, run::RunArguments& arguments) {
  declared.option("recipe", arguments.recipe, "recipe file (default: default_recipe of exp.toml)");
  declared.option("--set", arguments.set, "KEY=VALUE on top of the recipe; may be repeated")
      .take_all();
  declared
      .option("--variant", arguments.variants, "a [variants.NAME] of the recipe; may be repeated")
      .take_all();
  declared.option("--from", arguments.request.from,
                  "start at this stage: what comes before must be cached");
  declared.option("--until", arguments.request.until, "end with this stage");
  declared.option("--force", arguments.request.force, "make this stage anew, and all that need it")
      .take_all();
  declared.option("--devices", arguments.devices, "N, gpu:0,2, cpu or cpu:4");
}

void print_plan(const run::PlannedRun& planned, const Session& session) {
  for (const std::string& note : planned.notes) log::warn("{}", note);
  if (session.json) {
    fmt::print("{}", graph::plan_json(planned.plan, planned.cache));
    return;
  }
  fmt::print("{}", graph::plan_text(planned.plan));
}

}  // namespace xp::cli
