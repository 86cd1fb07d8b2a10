#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include "core/frontend/frontend.h"
#include "core/model/model.h"
#include "core/schema/train.h"

namespace xp::evaluate {

/// Clip and time embeddings of any length by windows, as HEAR 2021 asks for them and passt_hear21
/// computes them (hear21passt/wrapper.py).
struct EmbedSettings {
  enum class Content { kAll, kFeatures, kLogits };  ///< logits then features; one of them
  Content content = Content::kAll;
  int64_t rate_hz = 32000;
  double longest_ms = 10000;   ///< a longer clip's scene embedding is the mean over windows of this
  double scene_hop_ms = 2500;  ///< between those
  double window_ms = 160;      ///< of a time embedding
  double hop_ms = 50;          ///< between time embeddings
  std::vector<int64_t> levels = {1};  ///< multiples of the window, side by side in a time embedding
  int64_t mel_samples = 0;  ///< > 0: last comes the spectrogram of that many samples, mel-major
  int64_t batch = 64;       ///< windows in one forward pass
  schema::Precision precision = schema::Precision::kFp32;
};

/// One of passt_hear21's modules: what it loads and how it looks.
struct EmbedModule {
  std::string_view name;     ///< "base", "hop160base2lvlmel", ...
  std::string_view weights;  ///< published weights
  EmbedSettings settings;
};
std::span<const EmbedModule> embed_modules();
/// nullptr for another name.
const EmbedModule* find_embed_module(std::string_view name);

/// Samples of `ms` milliseconds, rounded down.
int64_t samples_of(double ms, int64_t rate_hz);

/// The samples of B clips of one length, in memory or read from a file as they are needed.
struct Sound {
  int64_t clips = 1;    ///< B
  int64_t samples = 0;  ///< N
  /// [B, count] float32 in [-1, 1] from `begin` on; no call begins before the last one did.
  std::function<at::Tensor(int64_t begin, int64_t count)> read;

  /// waves: [B, N].
  static Sound of(const at::Tensor& waves);
};

/// Time embeddings of a batch of clips.
struct TimeEmbeddings {
  at::Tensor values;             ///< [B, S, D] on the CPU
  std::vector<double> times_ms;  ///< [S] middle of each window in the clip: 0, hop, 2 hop, ...
};

/// Embeds with one front end and one model, both in evaluation. Holds references: both must outlive
/// it. No more of a clip is in memory than `batch` windows reach over. Throws Stopped between
/// batches when the process was asked to stop.
class Embedder {
 public:
  Embedder(const frontend::Frontend& frontend, const model::Model& model, EmbedSettings settings,
           at::Device device);

  /// Returns [B, D] on the CPU: one forward pass of the whole clip, or the mean over windows of
  /// `longest_ms` where it is longer. Throws Error for a clip that is too short for one window.
  at::Tensor scene(const Sound& sound) const;

  /// Windows every hop, clips reflected by half a window at both ends, so that there are
  /// 1 + (N + 2 (window / 2) - window) / hop; `batch` of them at a time are handed to `take`.
  /// Throws Error for a clip shorter than half the largest window.
  void timestamps(const Sound& sound, const std::function<void(TimeEmbeddings)>& take) const;
  /// All of them.
  TimeEmbeddings timestamps(const Sound& sound) const;

  const EmbedSettings& settings() const { return settings_; }

 private:
  /// work(first window, windows [B * n, length] of each of `lengths`) for `batch` windows at a
  /// time.
  using Work = std::function<void(int64_t first, const std::vector<at::Tensor>& windows)>;
  void each_batch(const Sound& sound, const std::vector<int64_t>& lengths, int64_t hop,
                  const Work& work) const;
  at::Tensor forward(const at::Tensor& waves) const;

  const frontend::Frontend& frontend_;
  const model::Model& model_;
  EmbedSettings settings_;
  at::Device device_;
};

}  // namespace xp::evaluate
