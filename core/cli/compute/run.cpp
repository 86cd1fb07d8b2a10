// exp-compute run: binds each kind of stage to its run half and carries the plan out.
#include "core/cli/run.h"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/cli/command.h"
#include "core/cli/compute/stage_runner.h"
#include "core/cli/compute/versions.h"
#include "core/dist/team.h"
#include "core/evaluate/run.h"
#include "core/graph/build.h"
#include "core/run/plan_run.h"
#include "core/run/run_execute.h"
#include "core/schema/load.h"
#include "core/schema/stage_options.h"
#include "core/train/job.h"
#include "core/train/run.h"
#include "data/dataset.h"
#include "data/prepare.h"
#include "data/stats.h"

namespace xp::cli {
namespace {

using namespace xp::data;      // run_prepare, run_stats
using namespace xp::evaluate;  // run_teach, run_evaluate, run_baseline, run_embed, run_aggregate
using namespace xp::train;     // run_pretrain, run_train

// A kind may have a run_KIND_many beside its run_KIND.
#define XP_STAGE(kind, Options, version, resumes, inputs, outputs, sections, help)           \
  template <class O>                                                                         \
  constexpr bool many_##kind() {                                                             \
    return requires(std::span<const O* const> options,                                       \
                    std::span<graph::StageContext* const> contexts) {                        \
      run_##kind##_many(options, contexts);                                                  \
    };                                                                                       \
  }                                                                                          \
  template <class O>                                                                         \
  void call_many_##kind(std::span<const graph::Node* const> nodes,                           \
                        std::span<graph::StageContext* const> contexts) {                    \
    if constexpr (many_##kind<O>()) {                                                        \
      std::vector<const O*> options;                                                         \
      for (const graph::Node* node : nodes) options.push_back(&graph::options_of<O>(*node)); \
      run_##kind##_many(std::span<const O* const>(options), contexts);                       \
    }                                                                                        \
  }
#include "core/graph/stages.inc"
#undef XP_STAGE

// EXP_REHEARSE_STOP=STAGE:N:SIGNAL sends this process SIGNAL (INT, TERM, USR2 or KILL) when STAGE
// asks for the N-th time whether to stop: a preemption at a point that is the same on every
// machine.
void rehearse_stop(graph::StageContext& context) {
  const char* text = std::getenv("EXP_REHEARSE_STOP");
  if (text == nullptr || *text == '\0') return;
  const std::string_view all = text;
  const size_t first = all.find(':');
  const size_t second = all.find(':', first + 1);
  const std::map<std::string_view, int> signals = {
      {"INT", SIGINT}, {"TERM", SIGTERM}, {"USR2", SIGUSR2}, {"KILL", SIGKILL}};
  const auto signal =
      second == std::string_view::npos ? signals.end() : signals.find(all.substr(second + 1));
  const int wanted = signal == signals.end() ? 0 : std::atoi(text + first + 1);
  if (wanted <= 0)
    throw Error(fmt::format("EXP_REHEARSE_STOP={}: expected STAGE:N:INT, TERM, USR2 or KILL", all));
  if (all.substr(0, first) != context.name) return;
  const auto asked = std::make_shared<std::atomic<int>>(0);
  context.stop_requested = [asked, wanted, number = signal->second, ask = context.stop_requested] {
    if (++*asked == wanted) ::raise(number);
    return ask();
  };
}

class StageRunner final : public graph::Runner {
 public:
  /// `profile`: folder for traces; "" = none.
  explicit StageRunner(std::string profile = "") : profile_(std::move(profile)) {}

  void run(const graph::Node& node, graph::StageContext& context) override {
    prepare(context);
    switch (kind_of(node.kind)) {
#define XP_STAGE(kind, Options, version, resumes, inputs, outputs, sections, help) \
  case graph::StageKind::k_##kind:                                                 \
    return run_##kind(graph::options_of<schema::Options>(node), context);
#include "core/graph/stages.inc"
#undef XP_STAGE
    }
  }

  bool runs_many(std::string_view kind) const override {
    switch (kind_of(kind)) {
#define XP_STAGE(kind, Options, version, resumes, inputs, outputs, sections, help) \
  case graph::StageKind::k_##kind:                                                 \
    return many_##kind<schema::Options>();
#include "core/graph/stages.inc"
#undef XP_STAGE
    }
    return false;
  }

  void run_many(std::span<const graph::Node* const> nodes,
                std::span<graph::StageContext* const> contexts) override {
    for (graph::StageContext* context : contexts) prepare(*context);
    switch (kind_of(nodes.front()->kind)) {
#define XP_STAGE(kind, Options, version, resumes, inputs, outputs, sections, help) \
  case graph::StageKind::k_##kind:                                                 \
    return call_many_##kind<schema::Options>(nodes, contexts);
#include "core/graph/stages.inc"
#undef XP_STAGE
    }
  }

 private:
  void prepare(graph::StageContext& context) const {
    if (!profile_.empty()) {
      std::filesystem::create_directories(profile_);
      context.trace = std::filesystem::absolute(profile_) / (context.name + ".json");
    }
    rehearse_stop(context);
  }

  static graph::StageKind kind_of(std::string_view name) {
    const graph::StageKindInfo* info = graph::find_stage_kind(name);
    XP_CHECK(info != nullptr, "a node of an unknown kind: " + std::string(name));
    return info->kind;
  }

  std::filesystem::path profile_;
};

bool has_tiny_variant(const run::RunArguments& arguments, const std::string& file) {
  const auto variants = schema::load_recipe(file, run::load_options(arguments)).variants();
  return std::any_of(variants.begin(), variants.end(),
                     [](const recipe::VariantInfo& v) { return v.name == "tiny"; });
}

// What was looked for and what it should look like; the tiny variant needs no large data.
[[noreturn]] void explain_missing(const graph::MissingInput& missing,
                                  const run::RunArguments& arguments, const Session& session) {
  const std::string file = run::recipe_file(arguments, run::load_workspace(session.workspace()));
  std::string text = fmt::format("{}\n{} has to look like this:\n{}", missing.message(),
                                 missing.dataset(), dataset_layout(missing.dataset()));
  while (text.ends_with('\n')) text.pop_back();
  if (has_tiny_variant(arguments, file))
    text += fmt::format("\nto try the recipe on little data: exp run {} --variant tiny", file);
  throw Error(missing.place(), text, Exit::kData);
}

}  // namespace

std::unique_ptr<graph::Runner> make_stage_runner() { return std::make_unique<StageRunner>(); }

int compute_run(Command& command, Session& session) {
  // Under srun every rank runs this command; rank 0 plans and tells the others what to do.
  if (const dist::WorkerPlace place = dist::launched_place(); place.rank > 0) {
    dist::run_worker(place, train::read_job, rehearse_stop);
    return 0;
  }
  dist::meet_launched_ranks();
  const RunOptions& asked = asked_of<RunOptions>(command);
  const run::RunArguments& arguments = asked.run;
  try {
    run::PlannedRun planned = run::plan_run(arguments, session.workspace());
    StageRunner runner(asked.profile);
    return run::execute_run(arguments, std::move(planned), session.argv(), runner,
                            library_versions(), tell_outcome(session));
  } catch (const graph::MissingInput& missing) {
    if (missing.dataset().empty()) throw;
    explain_missing(missing, arguments, session);
  }
}

}  // namespace xp::cli
