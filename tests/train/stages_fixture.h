#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "core/checkpoint/archive.h"
#include "core/graph/stage.h"
#include "core/schema/stage_options.h"
#include "data/prepare.h"
#include "tests/testing/temp_dir.h"
#include "tracker/run_sink.h"

namespace xp::train::fixture {

namespace fs = std::filesystem;

inline schema::DatasetOptions small_set() {
  auto dataset = schema::DatasetOptions::of_kind(schema::DatasetName::kSynthetic);
  dataset.clips = 60;
  dataset.classes = 3;
  dataset.clip_s = 0.6;
  dataset.test_fold = 1;
  dataset.val_fold = 2;
  return dataset;
}

inline schema::FrontendOptions small_frontend() {
  schema::FrontendOptions frontend;
  frontend.mel_bins = 32;
  frontend.frames = 64;
  return frontend;
}

inline schema::TrainStageOptions small_training() {
  schema::TrainStageOptions options;
  options.dataset = small_set();
  options.frontend = small_frontend();
  options.augment.wave_mix_p = 0.5;
  options.augment.freq_mask_bins = 4;
  options.augment.time_mask_frames = 8;
  options.model.arch = "ast-nano";
  options.model.depth = 2;
  options.model.dim = 32;
  options.model.heads = 2;
  options.model.fstride = 16;
  options.model.tstride = 16;
  options.train.epochs = 2;
  options.train.batch_size = 8;
  options.train.loss = schema::Loss::kCe;
  options.train.log_every_steps = 1;
  options.train.select = "max:val.acc";
  options.optimiser.lr = 1e-3;
  options.averaging.kind = schema::AveragingKind::kEpochs;
  return options;
}

/// The scoring of what such a training makes, on its validation split.
inline schema::EvaluateStageOptions validation_of(const schema::TrainStageOptions& training) {
  schema::EvaluateStageOptions options;
  options.dataset = training.dataset;
  options.frontend = training.frontend;
  options.model = training.model;
  options.loss = training.train.loss;
  options.eval.split = schema::Split::kVal;
  return options;
}

inline schema::PretrainStageOptions small_pretraining() {
  schema::PretrainStageOptions options;
  options.dataset = small_set();
  options.frontend = small_frontend();
  options.frontend.mel_bins = 128;
  options.model = schema::ModelOptions::of_kind(schema::Family::k_ssast);
  options.model.arch = "ssast-tiny-patch";
  options.model.dim = 24;
  options.model.depth = 2;
  options.model.heads = 2;
  options.model.fstride = options.model.tstride = 16;
  options.pretrain.masked = 8;
  options.pretrain.cluster_min = 2;
  options.pretrain.cluster_max = 3;
  options.train.batch_size = 8;
  return options;
}

/// The stages of one test, each in a folder of its own.
class Stages : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    at::set_num_threads(1);
    folder_ = std::make_unique<xp::testing::TempDir>();
    tracker::NullSink null;
    graph::StageContext context = stage("prepare", null);
    schema::PrepareOptions options;
    options.dataset = small_set();
    data::run_prepare(options, context);
  }
  static void TearDownTestSuite() { folder_.reset(); }

  static graph::StageContext stage(const std::string& name, tracker::RunSink& sink) {
    graph::StageContext context;
    context.name = name;
    context.output = *folder_ / name;
    fs::create_directories(context.output);
    context.sink = &sink;
    context.resources.threads = 1;
    context.resources.devices = {"cpu"};
    if (name != "prepare") add(context, "data", "prepare", "output");
    return context;
  }
  static void add(graph::StageContext& context, const std::string& role, const std::string& from,
                  const std::string& part) {
    graph::StageInput input;
    input.role = role;
    input.path = *folder_ / from;
    input.part = part;
    input.stage = from;
    input.key = "key of " + from;
    context.inputs.push_back(input);
  }
  static std::string bytes_of_weights(const fs::path& file) {
    std::string all;
    const checkpoint::Archive archive = checkpoint::Archive::open(file);
    for (const auto& entry : archive.entries())
      all += entry.name +
             std::string(reinterpret_cast<const char*>(entry.bytes.data()), entry.bytes.size());
    return all;
  }

  static inline std::unique_ptr<xp::testing::TempDir> folder_;
};

}  // namespace xp::train::fixture
