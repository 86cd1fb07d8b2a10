#pragma once

#include "core/recipe/options.h"
#include "core/schema/train.h"

namespace xp::schema {

enum class ScheduleKind { kConstant, kStep, kExpLinear, kCosine, kPlateau };
XP_ENUM_NAMES(ScheduleKind, "constant", "step", "exp_linear", "cosine", "plateau")

/// [schedule]: the learning rate over time. Epoch keys count completed epochs.
struct ScheduleOptions {
  static constexpr std::string_view kSection = "schedule";
  static constexpr std::string_view kHelp = "the learning rate over time";
  using Kind = ScheduleKind;

  ScheduleKind kind = ScheduleKind::kConstant;
  int64_t warmup_steps = 0;
  int64_t warmup_every_steps = 50;
  int64_t first_epoch = 2;
  int64_t every_epochs = 1;
  double factor = 0.5;
  int64_t warmup_epochs = 5;
  int64_t down_from_epoch = 50;
  int64_t down_epochs = 50;
  double last_factor = 0.01;
  int64_t patience = 2;
  std::string metric = "min:val.loss";

  static ScheduleOptions of_kind(ScheduleKind kind) {
    ScheduleOptions o;
    o.kind = kind;
    if (kind == ScheduleKind::kCosine) {
      o.warmup_epochs = 0;
      o.down_from_epoch = -1;
    }
    return o;
  }

  template <class Visitor>
  static void describe(Visitor& v) {
    using O = ScheduleOptions;
    v.kind("kind", &O::kind, {}, "step: AST's; exp_linear: PaSST's; plateau: SSAST's pretraining");
    v.field("warmup_steps", &O::warmup_steps, {.min = 0, .max = 1e9, .unit = "steps"},
            "lr rises over this many steps from 0, in place of the kind until then; 0 = off");
    v.field("warmup_every_steps", &O::warmup_every_steps, {.min = 1, .max = 1e9, .unit = "steps"},
            "lr is changed this often in the warm-up (AST's staircase)");
    v.field("first_epoch", &O::first_epoch,
            {.min = 1, .max = 1e6, .unit = "epochs", .only = "step"},
            "completed epochs at the first step down");
    v.field("every_epochs", &O::every_epochs,
            {.min = 1, .max = 1e6, .unit = "epochs", .only = "step"}, "epochs between steps down");
    v.field("factor", &O::factor, {.min = 0, .max = 1, .open_min = true, .only = "step plateau"},
            "lr is multiplied by this at each step down");
    v.field("warmup_epochs", &O::warmup_epochs,
            {.min = 0, .max = 1e6, .unit = "epochs", .only = "exp_linear cosine"},
            "length of the rise: exp(-5 (1 - epoch / this)^2), cosine epoch / this");
    v.field("down_from_epoch", &O::down_from_epoch,
            {.min = -1, .max = 1e6, .unit = "epochs", .only = "exp_linear cosine"},
            "completed epochs at which the fall begins; -1 = after the warm-up");
    v.field("down_epochs", &O::down_epochs,
            {.min = 0, .max = 1e6, .unit = "epochs", .only = "exp_linear cosine"},
            "length of the fall; cosine: 0 = cycles of warmup_epochs until down_from_epoch");
    v.field("last_factor", &O::last_factor, {.min = 0, .max = 1, .only = "exp_linear cosine"},
            "multiple of lr that stays after the fall");
    v.field("patience", &O::patience, {.min = 0, .max = 1e6, .unit = "epochs", .only = "plateau"},
            "validations without a better metric before a step down");
    v.field("metric", &O::metric,
            {.only = "plateau",
             .grammar = "max:val.METRIC or min:val.METRIC",
             .accepts = &accepts_goal},
            "what has to get better");
  }
};

}  // namespace xp::schema
