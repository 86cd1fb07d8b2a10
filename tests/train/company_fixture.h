#pragma once

#include <cmath>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include "core/base/rng.h"
#include "core/batches/source.h"
#include "core/evaluate/predict.h"
#include "core/model/masked.h"
#include "core/model/registry.h"
#include "data/export.h"
#include "tests/train/stages_fixture.h"

namespace xp::train::fixture {

/// Seconds of the clips that are scored: two of them are as long.
inline constexpr double kLengths_s[] = {0.31, 1.2, 0.55, 0.31, 0.74, 0.9, 0.33, 1.07};

/// A model of each family, small.
struct Family {
  const char* name;
  const char* arch;
  int64_t r = 0;    ///< tokens merged in each block
  double bf16 = 0;  ///< how far scores in bf16 may differ, of the largest
  /// [model] beside the architecture.
  void (*adjust)(schema::ModelOptions&) = [](schema::ModelOptions&) {};
};

/// What TorchOnlyAST's classes are made with and no other original's.
inline void as_torchonly(schema::ModelOptions& model) {
  model.aggregator = schema::Aggregator::kMean;
  model.mean_skips = 0;
  model.special_tokens = schema::SpecialTokens::kCls;
  model.norm_first = false;
  model.activation = schema::MlpActivation::kRelu;
}

inline constexpr Family kFamilies[] = {
    {"ast", "ast-nano", 0, 0.02},
    {"ast_merging", "ast-nano", 6, 0.2},
    {"passt", "passt-s", 0, 0.02},
    {"passt_merging", "passt-s", 6, 0.2},
    {"ssast_patch", "ssast-tiny-patch", 0, 0.02},
    {"ssast_frame", "ssast-tiny-frame", 0, 0.02},
    {"torchonly", "ast-nano", 0, 0.02, as_torchonly},
    {"torchonly_merging", "ast-nano", 6, 0.2, as_torchonly},
    {"pool", "pool", 0, 0.02},
    {"mn", "mn01", 0, 0.02},
    {"dymn", "dymn01", 0, 0.02},
};

inline schema::ModelOptions options_of(const Family& family) {
  auto options = schema::ModelOptions::of_kind(*schema::ModelOptions::parse_kind(family.arch));
  options.arch = family.arch;
  if (schema::is_transformer(options.resolved().family)) {
    options.depth = 3;
    options.dim = 48;
    options.heads = 3;
  }
  family.adjust(options);
  return options;
}

/// Clips as long as they are.
inline schema::FrontendOptions open_frontend(schema::FrontendKind kind) {
  auto options = schema::FrontendOptions::of_kind(kind);
  options.rate_hz = 16000;
  options.window_samples = 400;
  options.hop_samples = 160;
  options.fft_size = 512;
  options.frames = 0;
  options.clip_s = 0;
  return options;
}

/// Prepared clips of unequal length: train and test of two classes, and in "val" one that is too
/// short for a patch beside one that is not.
class UnequalClips : public Stages {
 protected:
  static void SetUpTestSuite() {
    at::set_num_threads(1);
    folder_ = std::make_unique<xp::testing::TempDir>();
    size_t number = 0;
    for (const char* split : {"train", "test"})
      for (const double seconds : kLengths_s) write_clip(split, seconds, number++);
    write_clip("val", 0.5, number++);
    write_clip("val", 0.05, number++);
    tracker::NullSink null;
    graph::StageContext context = stage("prepare", null);
    schema::PrepareOptions options;
    options.dataset = set();
    data::run_prepare(options, context);
  }

  static schema::DatasetOptions set() {
    auto dataset = schema::DatasetOptions::of_kind(schema::DatasetName::kFolder);
    dataset.root = (*folder_ / "sounds").string();
    return dataset;
  }
  static batches::Clips clips() {
    tracker::NullSink null;
    return batches::open_clips(stage("clips", null), set());
  }

  static std::unique_ptr<model::Model> model_of(const Family& family,
                                                schema::FrontendKind frontend) {
    schema::Reductions reductions;
    reductions.tome.emplace().r.value = family.r;
    auto model = model::make_model({.options = options_of(family),
                                    .geometry = {open_frontend(frontend).mel_bins, 80},
                                    .classes = 2,
                                    .reductions = reductions,
                                    .seed = 3});
    model->require_grad(false);
    liven(*model, open_frontend(frontend).mel_bins);
    return model;
  }

 private:
  /// A fresh model says nearly the same of everything: statistics of batch norm as after training
  /// (one pass moves them by a hundredth), and a head with something to say.
  static void liven(const model::Model& model, int64_t bins) {
    const at::NoGradGuard no_grad;
    model::Pass pass;
    pass.training = true;
    const at::Tensor noise = at::randn({8, bins, 80}, at::make_generator<at::CPUGeneratorImpl>(4));
    model.forward(model::Input::whole(noise), pass);
    for (const model::NamedTensor& named : model.buffers()) {
      at::Tensor values = named.tensor;
      if (named.name.ends_with("running_mean")) values.mul_(100);
      if (named.name.ends_with("running_var")) values.sub_(0.99).mul_(100);
    }
    for (const model::NamedTensor& named : model.parameters())
      if (model.placement(named.name).head) at::Tensor(named.tensor).mul_(20);
  }

  static void write_clip(const char* split, double seconds, size_t number) {
    const auto samples = static_cast<int64_t>(seconds * 16000);
    std::vector<float> wave(static_cast<size_t>(samples));
    Rng rng(8, "clip", 0, number);
    const double hz = rng.uniform(200, 4000);
    for (int64_t i = 0; i < samples; ++i)
      wave[static_cast<size_t>(i)] = static_cast<float>(
          0.3 * std::sin(2 * M_PI * hz * static_cast<double>(i) / 16000) + 0.1 * rng.normal());
    const fs::path file = *folder_ / "sounds" / split / (number % 2 == 0 ? "even" : "odd") /
                          fmt::format("{:02}.wav", number);
    fs::create_directories(file.parent_path());
    data::write_wav(file, wave, 16000);
  }
};

}  // namespace xp::train::fixture
