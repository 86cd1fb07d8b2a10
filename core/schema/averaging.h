#pragma once

#include "core/recipe/options.h"

namespace xp::schema {

enum class AveragingKind { kNone, kEpochs, kSwa, kEma };
XP_ENUM_NAMES(AveragingKind, "none", "epochs", "swa", "ema")

/// [averaging]: the weights behind `.average`.
struct AveragingOptions {
  static constexpr std::string_view kSection = "averaging";
  static constexpr std::string_view kHelp = "averaged weights: the checkpoint `.average`";
  using Kind = AveragingKind;

  AveragingKind kind = AveragingKind::kNone;
  int64_t first_epoch = 1;
  int64_t last_epoch = 0;
  int64_t every_epochs = 5;
  double decay = 0.9999;
  bool ramp = true;

  static AveragingOptions of_kind(AveragingKind kind) {
    AveragingOptions o;
    o.kind = kind;
    if (kind == AveragingKind::kSwa) o.first_epoch = 50;
    return o;
  }

  template <class Visitor>
  static void describe(Visitor& v) {
    using O = AveragingOptions;
    v.kind("kind", &O::kind, {},
           "epochs: mean of the weights after each epoch of a range; swa: running mean; ema: "
           "exponential mean");
    v.field("first_epoch", &O::first_epoch,
            {.min = 1, .max = 1e6, .unit = "epochs", .only = "epochs swa"},
            "first epoch that counts, by its number from 1: the weights after it (epochs), or "
            "before it (swa, as PaSST)");
    v.field("last_epoch", &O::last_epoch,
            {.min = 0, .max = 1e6, .unit = "epochs", .only = "epochs"},
            "last epoch that counts, included; 0 = the last of the training");
    v.field("every_epochs", &O::every_epochs,
            {.min = 1, .max = 1e6, .unit = "epochs", .only = "swa"},
            "epochs between two that count");
    v.field("decay", &O::decay, {.min = 0, .max = 1, .open_max = true, .only = "ema"},
            "weight of the old mean at each step");
    v.field("ramp", &O::ramp, {.only = "ema", .off = "false"},
            "after step t that weight is at most (1 + t) / (10 + t), so that the random start "
            "weights are soon forgotten");
  }
};

}  // namespace xp::schema
