// exp data show: pictures and sounds of what is in the shards, and of what the model gets.
#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/cli/compute/data_parts.h"
#include "core/frontend/frontend.h"
#include "core/ops/frontend_options.h"
#include "data/export.h"
#include "data/loader.h"

namespace xp::cli {
namespace {
namespace fs = std::filesystem;

constexpr int kPixelsPerBin = 2;

/// An id as part of a file's name.
std::string file_name(std::string_view id) {
  std::string name(id);
  for (char& c : name) c = c == '/' || c == '\\' ? '_' : c;
  return name;
}

/// mel: [F, T] contiguous.
void write_picture(const fs::path& file, const float* mel, int64_t bins, int64_t frames) {
  ops::SpectrogramImageOptions options;
  options.scale_y = kPixelsPerBin;
  data::write_png(file, ops::spectrogram_image(mel, bins, frames, frames, options));
}

std::string label_text(const float* labels, const std::vector<data::ClassInfo>& classes) {
  std::string text;
  for (size_t k = 0; k < classes.size(); ++k) {
    if (labels[k] == 0) continue;
    text += fmt::format("{}{}{}", text.empty() ? "" : ", ", classes[k].name,
                        labels[k] == 1 ? "" : fmt::format(" {:.2f}", labels[k]));
  }
  return text;
}

int show_clip(const DataArguments& arguments, const ChosenData& chosen, const fs::path& out) {
  const auto shards = chosen.open();
  const auto rows = data::rows_of_split(*shards, chosen.dataset, arguments.split);
  if (rows.empty())
    throw Error(fmt::format("the split {} has no clip", arguments.split), Exit::kData);
  int64_t row = rows.front();
  if (!arguments.clip.empty()) {
    row = 0;
    while (row < shards->clips() && shards->id(row) != arguments.clip) ++row;
    if (row == shards->clips())
      throw Error(fmt::format("no clip '{}' in {}", arguments.clip, chosen.prepared.string()),
                  Exit::kData);
  }
  std::vector<float> wave(static_cast<size_t>(shards->samples(row)));
  shards->read(row, wave);
  const ops::LogMel plan(ops::log_mel_options(chosen.frontend));
  const int64_t frames = plan.frames(static_cast<int64_t>(wave.size()));
  if (frames == 0) throw Error("the clip is too short for one frame", Exit::kData);
  std::vector<float> mel(static_cast<size_t>(frames * plan.bins()));
  plan.run(wave.data(), static_cast<int64_t>(wave.size()), mel.data(), frames, frames);
  const fs::path base = out / file_name(shards->id(row));
  write_picture(base.string() + ".png", mel.data(), plan.bins(), frames);
  data::write_wav(base.string() + ".wav", wave, shards->rate_hz());
  std::string labels;
  for (const int32_t k : shards->labels().of(row))
    labels += (labels.empty() ? "" : ", ") + shards->classes()[static_cast<size_t>(k)].name;
  fmt::print("{0}.png\n{0}.wav\n{1}: {2:.2f} s, {3} frames, {4}\n", base.string(), shards->id(row),
             static_cast<double>(wave.size()) / static_cast<double>(shards->rate_hz()), frames,
             labels);
  return 0;
}

int show_batch(const DataArguments& arguments, const ChosenData& chosen, const fs::path& out) {
  const auto shards = chosen.open();
  const auto rows = data::rows_of_split(*shards, chosen.dataset, "train");
  const data::Sampler sampler(chosen.sampler, shards->labels(), rows, chosen.seed);
  data::LoaderOptions load;
  load.shards = shards;
  load.rows = rows;
  load.batch_size = chosen.batch_size;
  load.samples = ops::clip_samples(chosen.frontend);
  load.crop = chosen.dataset.crop;
  load.augment = data::wave_augment(chosen.augment, shards->rate_hz());
  load.seed = chosen.seed;
  load.prefetch = 1;
  data::Loader loader(load, sampler);
  if (arguments.step >= loader.steps_per_epoch()) {
    throw Error(fmt::format("--step {}: an epoch has {} batches", arguments.step,
                            loader.steps_per_epoch()));
  }
  loader.start(0, arguments.step);
  const auto batch = *loader.next();
  const frontend::Frontend frontend(chosen.frontend, chosen.augment);
  const frontend::DrawKey key{chosen.seed, 0, static_cast<uint64_t>(batch.step),
                              static_cast<uint64_t>(batch.position)};
  const frontend::Waves waves{at::from_blob(batch.waves, {batch.size, batch.samples}),
                              batch.lengths};
  const frontend::Draws draws = frontend.draw(key, waves);
  const at::Tensor mel = frontend.forward(waves, &draws).mel.contiguous();
  fmt::print("batch {} of epoch 0: waves [{}, {}], spectrograms [{}, {}, {}]\n", batch.step,
             batch.size, batch.samples, mel.size(0), mel.size(1), mel.size(2));
  for (int64_t i = 0; i < batch.size; ++i) {
    const auto at = static_cast<size_t>(i);
    const auto id = shards->id(rows[static_cast<size_t>(batch.rows[at])]);
    const fs::path base = out / fmt::format("batch{}_{:03}_{}", batch.step, i, file_name(id));
    write_picture(base.string() + ".png",
                  mel.const_data_ptr<float>() + i * mel.size(1) * mel.size(2), mel.size(1),
                  mel.size(2));
    data::write_wav(
        base.string() + ".wav",
        std::span(batch.waves + i * batch.samples, static_cast<size_t>(batch.lengths[at])),
        shards->rate_hz());
    std::string mixed;
    if (batch.partner_rows[at] >= 0) {
      mixed = fmt::format(", {:.2f} with {}", batch.mix[at],
                          shards->id(rows[static_cast<size_t>(batch.partner_rows[at])]));
    }
    fmt::print("{}.png  {}{}\n", base.string(),
               label_text(batch.labels + i * batch.classes, shards->classes()), mixed);
  }
  return 0;
}

}  // namespace

int data_show(const DataArguments& arguments, const Session& session) {
  const ChosenData chosen = choose_data(arguments, session);
  const fs::path out = arguments.out.empty() ? fs::path(".") : fs::path(arguments.out);
  make_folders(out);
  return arguments.batch ? show_batch(arguments, chosen, out) : show_clip(arguments, chosen, out);
}

}  // namespace xp::cli
