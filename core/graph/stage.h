#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/stop.h"

namespace xp::tracker {
class RunSink;
}

namespace xp::graph {

class SeenFiles;

/// The kinds of stages.inc.
enum class StageKind {
#define XP_STAGE(kind, Options, version, resumes, inputs, outputs, sections, help) k_##kind,
#include "core/graph/stages.inc"
#undef XP_STAGE
};

/// kResumes: the output folder of a killed holder is handed to the next one, which goes on from it.
/// kAtomic: every attempt starts from an empty folder.
enum class Resume { kResumes, kAtomic };

/// One line of stages.inc.
struct StageKindInfo {
  StageKind kind;
  const char* name;  ///< as in `do = "train"` and cache/train/KEY
  int version;       ///< of the code; part of the key
  Resume resume;
  const char* inputs;
  const char* outputs;
  const char* sections;
  const char* help;
};

/// All kinds, in the order of stages.inc.
std::span<const StageKindInfo> stage_kinds();
const StageKindInfo& stage_kind(StageKind kind);
/// nullptr when there is no kind of that name.
const StageKindInfo* find_stage_kind(std::string_view name);

/// Something a stage reads: the finished output of another stage, or a file or folder of the user.
struct StageInput {
  std::string role;  ///< "data", "checkpoint", ... as in stages.inc
  std::filesystem::path
      path;           ///< the stage's folder (published, never written to), or the user's file
  std::string part;   ///< "best", "last", "average", or "output": which one of the folder
  std::string stage;  ///< name of the stage that made it; "" for a file of the user
  std::string key;    ///< its key; for a file of the user the digest of its content
  std::vector<double> each;  ///< the numbers of its `each` keys, for aggregate; empty without
};

/// What the run half may use. Never in a key: results must not depend on it, except where the stage
/// says so.
struct Resources {
  int threads = 1;  ///< CPU threads for this stage, all its workers together
  int workers = 0;  ///< loader threads; 0 = as many as `threads`
  std::vector<std::string>
      devices;              ///< "cpu", "cpu:1", "gpu:0"; one rank each; empty = the best there is
  int64_t micro_batch = 0;  ///< per device; 0 = the recipe's
};

/// How much of the work is wanted.
enum class Depth {
  kFull,
  kCheck,   ///< one step of each stage, shapes and tokens per layer through StageContext::say
  kOverfit  ///< train on the same `overfit_clips` clips, validate on them
};

/// What a run half gets besides its options. It reads `inputs`, writes below `output`, reports to
/// `sink`, and throws xp::Error for the world's faults. Once `stop_requested` says so it saves into
/// `output` what the next attempt needs and throws xp::Stopped (core/base/stop.h). Publishing,
/// digests, locks and the manifest are the graph's. The pointers and references outlive the call;
/// methods may be called from any thread.
///
/// Run halves: `void run_KIND(const schema::OPTIONS&, graph::StageContext&)`, OPTIONS as in
/// stages.inc; prepare and stats in data/, pretrain and train in core/train, the others in
/// core/evaluate. A kind may add
/// `void run_KIND_many(std::span<const schema::OPTIONS* const>, std::span<StageContext* const>)`
/// for several pending stages with equal inputs.
struct StageContext {
  std::string name;  ///< "student", or "train@2" for an instance of `each`
  std::string key;   ///< of this stage
  std::vector<StageInput> inputs;
  std::filesystem::path
      output;  ///< exists, on the disk of the cache; published by rename on return
  /// A finished output that the kind's version before made of the same options and files: what of
  /// it is right may be taken over. "" = there is none; it may be removed at any moment.
  std::filesystem::path earlier;
  bool resumed = false;  ///< `output` holds what an earlier attempt left (kResumes only)
  Resources resources;
  Depth depth = Depth::kFull;
  int64_t overfit_clips = 0;
  std::filesystem::path
      trace;  ///< where a training leaves a Chrome trace of a few steps; "" = none

  /// Not null while a stage is made whose key is not known yet, since it comes from the files that
  /// it decodes: each file of the user that it reads whole is to be added, and `output` is to be
  /// left as one to go on from, also when all is done.
  SeenFiles* seen = nullptr;

  /// Of this stage: it puts `name.` before metric names. Its `finished` is the graph's to call.
  /// Never null in a run half.
  tracker::RunSink* sink = nullptr;

  /// Why somebody asked for an end: Ctrl-C, SIGTERM, `exp stop`; kNone while nobody did. Cheap; ask
  /// every step.
  std::function<StopReason()> stop_requested = [] { return StopReason::kNone; };
  /// Tells how far the stage is: `done` of `total` (0 = unknown), in any unit. `what` names the
  /// line up to its first comma ("epoch 3/10"); what follows is shown as it changes (", loss
  /// 0.31"). Rate and time left are the display's to compute. Cheap, but not for every clip of a
  /// thread.
  std::function<void(std::string_view what, double done, double total)> progress =
      [](std::string_view, double, double) {};
  /// A line for the person at the terminal and the run's log.
  std::function<void(std::string_view line)> say = [](std::string_view) {};

  /// The one input of that role; XP_CHECK when there is none or several.
  const StageInput& input(std::string_view role) const;
  /// nullptr when there is none.
  const StageInput* find_input(std::string_view role) const;
  /// All inputs of that role, in the recipe's order.
  std::vector<const StageInput*> inputs_of(std::string_view role) const;
};

/// Throws Stopped after a request to stop.
void throw_if_stopped(const StageContext& context);

}  // namespace xp::graph
