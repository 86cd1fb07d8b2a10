#pragma once

#include "core/recipe/options.h"

namespace xp::schema {

enum class KdTarget { kSigmoid, kSoftmax };
XP_ENUM_NAMES(KdTarget, "sigmoid", "softmax")

enum class OnMissing { kError, kZero, kLabel };
XP_ENUM_NAMES(OnMissing, "error", "zero", "label")

/// [kd]: distillation from a teacher's stored logits.
struct KdOptions {
  static constexpr std::string_view kSection = "kd";
  static constexpr std::string_view kHelp = "distillation from a teacher's stored logits";

  bool enabled = false;
  double lambda = 0.1;
  double temperature = 1.0;
  bool student_temperature = false;
  std::string logits;
  std::string index;
  KdTarget target = KdTarget::kSigmoid;
  bool mix_teacher = true;
  OnMissing on_missing = OnMissing::kError;

  template <class Visitor>
  static void describe(Visitor& v) {
    using O = KdOptions;
    v.field("enabled", &O::enabled, {}, "distillation is on");
    v.field("lambda", &O::lambda, {.min = 0, .max = 1},
            "weight of the label loss: 1 trains without a teacher, 0 with the teacher alone");
    v.field("temperature", &O::temperature, {.min = 0, .max = 100, .open_min = true},
            "divides the teacher's logits");
    v.field(
        "student_temperature", &O::student_temperature, {.off = "false"},
        "kd.temperature divides the student's logits too, and the teacher's part of the loss is "
        "multiplied by its square");
    v.field("logits", &O::logits, {.input = true},
            "the teacher's logits: a teach stage of the recipe, or an .npy file [N, K]");
    v.field("index", &O::index, {.sweepable = false, .path = true},
            "for an .npy file: which row is which clip (.pkl dict or .csv id,row)");
    v.field("target", &O::target, {}, "what the teacher's logits go through");
    v.field("mix_teacher", &O::mix_teacher, {}, "mixed clips get the mix of both teacher rows");
    v.field(
        "on_missing", &O::on_missing, {},
        "a clip without a teacher row: an error, no distillation term, or the label in its place");
  }
};

}  // namespace xp::schema
