#include "core/graph/stage.h"

#include "core/base/error.h"

namespace xp::graph {
namespace {

constexpr Resume kResumes = Resume::kResumes;
constexpr Resume kAtomic = Resume::kAtomic;

constexpr StageKindInfo kKinds[] = {
#define XP_STAGE(kind, Options, version, resumes, inputs, outputs, sections, help) \
  {StageKind::k_##kind, #kind, version, resumes, inputs, outputs, sections, help},
#include "core/graph/stages.inc"
#undef XP_STAGE
};

}  // namespace

std::span<const StageKindInfo> stage_kinds() { return kKinds; }

const StageKindInfo& stage_kind(StageKind kind) { return kKinds[static_cast<size_t>(kind)]; }

const StageKindInfo* find_stage_kind(std::string_view name) {
  for (const StageKindInfo& info : kKinds) {
    if (name == info.name) return &info;
  }
  return nullptr;
}

const StageInput* StageContext::find_input(std::string_view role) const {
  for (const StageInput& input : inputs) {
    if (input.role == role) return &input;
  }
  return nullptr;
}

std::vector<const StageInput*> StageContext::inputs_of(std::string_view role) const {
  std::vector<const StageInput*> found;
  for (const StageInput& input : inputs) {
    if (input.role == role) found.push_back(&input);
  }
  return found;
}

const StageInput& StageContext::input(std::string_view role) const {
  const std::vector<const StageInput*> found = inputs_of(role);
  XP_CHECK(found.size() == 1, "stage " + name + " has " + std::to_string(found.size()) +
                                  " inputs of role " + std::string(role) + ", expected one");
  return *found.front();
}

void throw_if_stopped(const StageContext& context) {
  const StopReason reason = context.stop_requested();
  if (reason != StopReason::kNone) throw Stopped(reason);
}

}  // namespace xp::graph
