#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/batches/source.h"
#include "core/checkpoint/archive.h"
#include "core/dist/device.h"
#include "core/dist/session.h"
#include "core/evaluate/score_file.h"
#include "core/schema/stage_options.h"
#include "core/train/job.h"
#include "tests/testing/pretend_device.h"
#include "tests/train/stages_fixture.h"

namespace xp::train::fixture {

/// A training of few steps: of labels, of a teacher's logits too, or of masked patches.
struct DeviceCase {
  enum class Task { kLabels, kDistillation, kPretraining };

  std::string name;
  Task task = Task::kLabels;
  std::function<void(schema::TrainStageOptions&)> change = [](auto&) {};
  std::function<void(schema::PretrainStageOptions&)> change_pretraining = [](auto&) {};
  double tolerance = kTolerance;  ///< of a weight, after three steps at lr 0.1 without momentum

  static constexpr double kTolerance = 3e-5;

  friend std::ostream& operator<<(std::ostream& out, const DeviceCase& c) { return out << c.name; }
};

inline std::string name_of_case(const ::testing::TestParamInfo<DeviceCase>& info) {
  return info.param.name;
}

/// What trains and predicts on a device as on the CPU: the pretend one in suites *Device, the first
/// GPU in suites *Gpu.
class OnDevice : public Stages {
 protected:
  void SetUp() override { dist::prepare_device(at::kCPU, 1); }

  static at::Device first_gpu() { return {at::kCUDA, 0}; }

  /// Options that every case starts from: nothing drawn, nothing averaged.
  static schema::TrainStageOptions plain() {
    schema::TrainStageOptions options = small_training();
    options.augment = {};
    options.averaging.kind = schema::AveragingKind::kNone;
    quick(options);
    return options;
  }

  /// The folder of a training of `steps` steps; one that was begun in folder `name` goes on.
  static fs::path train(const DeviceCase& c, at::Device device, int64_t steps,
                        const std::string& name, int64_t stop_after = 0) {
    static tracker::NullSink sink;
    graph::StageContext context = stage(name, sink);
    int64_t asked = 0;
    if (stop_after > 0)
      context.stop_requested = [&] {
        return ++asked >= stop_after ? StopReason::kPreempted : StopReason::kNone;
      };
    dist::Session session;
    session.device = device;
    if (c.task == DeviceCase::Task::kPretraining) {
      schema::PretrainStageOptions options = small_pretraining();
      quick(options);
      options.train.max_steps = steps;
      c.change_pretraining(options);
      pretrain_rank(options, context, session);
      return context.output;
    }
    schema::TrainStageOptions options = plain();
    if (c.task == DeviceCase::Task::kDistillation) {
      options.kd.emplace();
      options.train.loss = schema::Loss::kBce;
      graph::StageInput logits;
      logits.role = "logits";
      logits.path = teacher();
      context.inputs.push_back(logits);
    }
    options.train.max_steps = steps;
    c.change(options);
    train_rank(options, context, session);
    return context.output;
  }

  /// The largest difference of the weights in two files; infinite where they are not comparable.
  static double difference(const fs::path& a, const fs::path& b) {
    const auto x = checkpoint::Archive::open(a);
    const auto y = checkpoint::Archive::open(b);
    double worst = 0;
    for (const auto& entry : x.entries()) {
      const auto* other = y.find(entry.name);
      if (other == nullptr || other->bytes.size() != entry.bytes.size()) return INFINITY;
      if (entry.dtype != checkpoint::Dtype::kF32) continue;
      for (size_t i = 0; i < entry.bytes.size(); i += sizeof(float)) {
        float p = 0, q = 0;
        std::memcpy(&p, entry.bytes.data() + i, sizeof p);
        std::memcpy(&q, other->bytes.data() + i, sizeof q);
        const double apart = std::abs(static_cast<double>(p) - q);
        if (std::isnan(apart)) return INFINITY;
        worst = std::max(worst, apart);
      }
    }
    return worst;
  }

 private:
  template <class Options>
  static void quick(Options& options) {
    options.train.epochs = 1;
    options.train.batch_size = 4;
    options.train.log_every_steps = 1000;
    options.optimiser.kind = schema::OptimiserKind::kSgd;
    options.optimiser.lr = 0.1;
    options.schedule = {};
  }

  /// Logits of all but two of the training clips.
  static fs::path teacher() {
    const fs::path file = *folder_ / "teacher.h5";
    if (fs::exists(file)) return file;
    tracker::NullSink null;
    const batches::Clips clips = batches::open_clips(stage("teacher", null), small_set());
    const std::vector<uint32_t> rows = clips.rows("train");
    evaluate::ScoreFile scores;
    for (const auto& [id, label] : clips.class_list()) {
      scores.class_ids.push_back(id);
      scores.class_names.push_back(label);
    }
    scores.width = clips.classes();
    for (size_t i = 2; i < rows.size(); ++i) {
      scores.ids.emplace_back(clips.shards->id(rows[i]));
      for (int64_t k = 0; k < scores.width; ++k)
        scores.values.push_back(static_cast<float>(i % 5) * 0.3F - static_cast<float>(k));
    }
    evaluate::write_scores(file, scores);
    return file;
  }
};

/// Every task, family, augmentation, reduction, precision and way to take a step.
inline std::vector<DeviceCase> device_cases() {
  using Options = schema::TrainStageOptions;
  using Task = DeviceCase::Task;
  std::vector<DeviceCase> cases;
  const auto labels = [&](std::string name, std::function<void(Options&)> change,
                          double tolerance = DeviceCase::kTolerance) {
    cases.push_back({std::move(name), Task::kLabels, std::move(change), {}, tolerance});
  };
  const auto distillation = [&](std::string name, std::function<void(Options&)> change) {
    cases.push_back({std::move(name), Task::kDistillation, std::move(change), {}});
  };
  const auto family = [](Options& o, schema::Family kind, const char* arch) {
    o.model = schema::ModelOptions::of_kind(kind);
    o.model.arch = arch;
    o.frontend.mel_bins = 64;
  };
  const auto passt = [family](Options& o) {
    family(o, schema::Family::k_passt, "passt-s");
    o.model.depth = 2;
    o.model.dim = 32;
    o.model.heads = 2;
    o.frontend.kind = schema::FrontendKind::kAugmentMel;
    o.frontend.frames = 0;
    o.frontend.low_jitter_hz = 10;
    o.frontend.high_jitter_hz = 2000;
  };
  const auto merging = [](Options& o) { o.tome.emplace().r.value = 1; };
  const auto own_lengths = [](Options& o) {
    o.frontend.frames = 0;
    o.frontend.clip_s = 0;
  };

  labels("plain", [](Options&) {});
  labels("bce", [](Options& o) { o.train.loss = schema::Loss::kBce; });
  labels("spec_augment", [](Options& o) {
    o.augment.freq_mask_bins = 8;
    o.augment.time_mask_frames = 16;
  });
  labels("noise_and_roll", [](Options& o) {
    o.augment.noise_max = 0.1;
    o.augment.frame_roll = 4;
  });
  labels("spec_mix", [](Options& o) { o.augment.spec_mix_alpha = 0.3; });
  labels("wave_mix", [](Options& o) {
    o.augment.wave_mix_p = 0.5;
    o.augment.gain_db = 3;
  });
  labels("merging", merging);
  labels("merging_without_size_bias", [merging](Options& o) {
    merging(o);
    o.tome->prop_attn = false;
  });
  labels("dropout", [](Options& o) { o.model.dropout = 0.1; });
  labels("drop_path", [](Options& o) { o.model.drop_path = 0.3; });
  labels("patchout", [](Options& o) { o.patchout.emplace().u = 2; });
  labels("patchout_per_clip", [](Options& o) {
    o.patchout.emplace().u = 2;
    o.patchout->per = schema::DropPer::kClip;
  });
  labels("patchout_per_clip_and_merging", [merging](Options& o) {
    o.patchout.emplace().u = 2;
    o.patchout->per = schema::DropPer::kClip;
    merging(o);
  });
  labels("own_lengths", own_lengths);
  labels("own_lengths_and_merging", [=](Options& o) {
    own_lengths(o);
    merging(o);
  });
  labels("recompute", [](Options& o) { o.train.activation_checkpointing = true; });
  labels("micro_batch", [](Options& o) { o.train.micro_batch = 3; });
  labels("clip_norm", [](Options& o) { o.train.clip_norm = 0.1; });
  // An eps above the rounding of a gradient that is 0 but for it.
  labels("adam", [](Options& o) {
    o.optimiser = schema::OptimiserOptions::of_kind(schema::OptimiserKind::kAdam);
    o.optimiser.lr = 1e-3;
    o.optimiser.eps = 1e-3;
  });
  labels("adamw_by_layer", [](Options& o) {
    o.optimiser = schema::OptimiserOptions::of_kind(schema::OptimiserKind::kAdamw);
    o.optimiser.lr = 1e-3;
    o.optimiser.eps = 1e-3;
    o.optimiser.layer_decay = 0.5;
    o.optimiser.weight_decay = 0.1;
    o.optimiser.decay_norm_bias = false;
  });
  labels(
      "momentum", [](Options& o) { o.optimiser.momentum = 0.9; }, 1e-4);
  labels(
      "bf16", [](Options& o) { o.train.precision = schema::Precision::kBf16; }, 2e-2);
  labels(
      "fp16", [](Options& o) { o.train.precision = schema::Precision::kFp16; }, 2e-3);
  labels(
      "fp16_recompute",
      [](Options& o) {
        o.train.precision = schema::Precision::kFp16;
        o.train.activation_checkpointing = true;
      },
      2e-3);
  labels("ema", [](Options& o) { o.averaging.kind = schema::AveragingKind::kEma; });
  labels("swa", [](Options& o) { o.averaging.kind = schema::AveragingKind::kSwa; });
  labels("passt", passt);
  labels("passt_positions_of_400_frames", [passt](Options& o) {
    passt(o);
    o.model.pos_frames = 400;
  });
  labels(
      "mn",
      [family](Options& o) {
        family(o, schema::Family::k_mn, "mn01");
        o.optimiser.lr = 0.01;
      },
      1e-3);
  labels(
      "dymn",
      [family](Options& o) {
        family(o, schema::Family::k_dymn, "dymn01");
        o.optimiser.lr = 0.01;
      },
      5e-3);
  labels("pool", [family](Options& o) { family(o, schema::Family::k_pool, "pool"); });
  distillation("distillation", [](Options& o) { o.kd->on_missing = schema::OnMissing::kZero; });
  distillation("distillation_of_mixed_clips", [](Options& o) {
    o.kd->on_missing = schema::OnMissing::kLabel;
    o.augment.wave_mix_p = 0.5;
    o.augment.spec_mix_alpha = 0.3;
  });
  cases.push_back({"masked_pretraining", Task::kPretraining, {}, [](auto&) {}});
  cases.push_back({"masked_pretraining_discriminative", Task::kPretraining, {}, [](auto& o) {
                     o.pretrain.task = schema::PretrainTask::kDiscriminative;
                   }});
  return cases;
}

}  // namespace xp::train::fixture
