// exp embed: embeddings of sound files, as HEAR 2021 asks for them.
#include "core/evaluate/embed.h"

#include <algorithm>
#include <filesystem>
#include <optional>

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/progress.h"
#include "core/cli/compute/listen.h"
#include "core/cli/run_text.h"
#include "core/dist/device.h"
#include "core/evaluate/embedding_file.h"
#include "core/frontend/frontend.h"
#include "core/schema/augment.h"
#include "core/schema/weights.h"

namespace xp::cli {
namespace {

using evaluate::EmbedSettings;

/// A checkpoint in the place of a module's weights has to have their frames: the module's windows
/// and positions are made for them. Bands and normalisation are the checkpoint's own.
void check_module(const evaluate::EmbedModule& module, const load::OpenModel& open) {
  recipe::View view;
  schema::carry_published(std::string(module.weights), view);
  const auto wants = view.build<schema::FrontendOptions>();
  const schema::FrontendOptions& has = open.frontend;
  if (has.kind == wants.kind && has.rate_hz == wants.rate_hz &&
      has.hop_samples == wants.hop_samples && has.mel_bins == wants.mel_bins)
    return;
  throw Error(fmt::format(
      "--module {} is of a front end {} at {} Hz with a hop of {} and {} bins; "
      "{} has {} at {} Hz with a hop of {} and {} bins",
      module.name, recipe::enum_name(wants.kind), wants.rate_hz, wants.hop_samples, wants.mel_bins,
      open.name, recipe::enum_name(has.kind), has.rate_hz, has.hop_samples, has.mel_bins));
}

/// No window is longer than what the model hears: it would drop the rest of each.
void fit_windows(EmbedSettings& settings, const evaluate::EmbedModule* module,
                 const load::OpenModel& open) {
  const std::optional<int64_t> most = load::heard_samples(open);
  if (!most) return;
  const double most_ms =
      1000.0 * static_cast<double>(*most) / static_cast<double>(open.frontend.rate_hz);
  const double longest_level =
      settings.window_ms *
      static_cast<double>(*std::max_element(settings.levels.begin(), settings.levels.end()));
  const double needs_ms = std::max(longest_level, module != nullptr ? settings.longest_ms : 0.0);
  if (needs_ms > most_ms) {
    throw Error(fmt::format("{} hears {:.0f} ms at once, windows of {:.0f} ms are to be embedded{}",
                            open.name, most_ms, needs_ms,
                            module != nullptr ? fmt::format(" (--module {})", module->name) : ""));
  }
  // The step stays what it is of the window where that gets shorter.
  const double step = settings.scene_hop_ms / settings.longest_ms;
  settings.longest_ms = std::min(settings.longest_ms, most_ms);
  settings.scene_hop_ms = std::min(settings.scene_hop_ms, step * settings.longest_ms);
}

EmbedSettings settings_of(const EmbedCommand& command, const evaluate::EmbedModule* module,
                          const load::OpenModel& open) {
  EmbedSettings settings = module != nullptr ? module->settings : EmbedSettings{};
  settings.rate_hz = open.frontend.rate_hz;
  settings.batch = command.listen.batch;
  settings.precision = *recipe::parse_enum<schema::Precision>(command.listen.precision);
  settings.content = command.content == "all"          ? EmbedSettings::Content::kAll
                     : command.content == "embed_only" ? EmbedSettings::Content::kFeatures
                                                       : EmbedSettings::Content::kLogits;
  fit_windows(settings, module, open);
  return settings;
}

/// Rows [n, D] of one clip.
void append(evaluate::EmbeddingFile& out, const std::string& file, const at::Tensor& rows,
            const std::vector<double>& times_ms, const load::OpenModel& open) {
  check_finite(rows, open);
  const at::Tensor values = rows.contiguous();
  out.append(file, {values.const_data_ptr<float>(), static_cast<size_t>(values.numel())},
             values.size(1), times_ms);
}

void embed(const std::string& file, bool timestamps, const evaluate::Embedder& embedder,
           const load::OpenModel& open, evaluate::EmbeddingFile& out) {
  data::WaveReader wave = open_wave(file, open.frontend.rate_hz);
  const evaluate::Sound sound{1, wave.samples(), [&wave](int64_t begin, int64_t count) {
                                return read_windows(wave, {&begin, 1}, count);
                              }};
  const int64_t before = out.rows();
  try {
    if (timestamps) {
      embedder.timestamps(sound, [&](const evaluate::TimeEmbeddings& some) {
        append(out, file, some.values[0], some.times_ms, open);
      });
    } else {
      append(out, file, embedder.scene(sound), {}, open);
    }
  } catch (...) {
    out.cut(before);  // of a clip all or nothing
    throw;
  }
}

}  // namespace

int compute_embed(Command& base, Session& session) {
  const auto& command = dynamic_cast<EmbedCommand&>(base);
  const evaluate::EmbedModule* module = nullptr;
  if (!command.module.empty()) {
    module = evaluate::find_embed_module(command.module);
    if (module == nullptr) {
      std::vector<std::string_view> names;
      for (const auto& m : evaluate::embed_modules()) names.push_back(m.name);
      const std::string near = nearest(command.module, names);
      throw Error(fmt::format(
          "there is no module '{}'{}", command.module,
          near.empty() ? "; see `exp embed --help`" : fmt::format("; did you mean '{}'?", near)));
    }
  }
  const std::string what =
      !command.source.checkpoint.empty() ? command.source.checkpoint : std::string(module->weights);
  load::OpenModel open = open_and_say(what, command.source, command.listen.tome_r);
  if (module != nullptr) check_module(*module, open);
  // Windows are as long as they are: the front end must not pad or cut them.
  if (open.frontend.kind == schema::FrontendKind::kAugmentMel) open.frontend.clip_s = 0;
  const at::Device device = dist::find_device(command.listen.device);
  dist::prepare_device(device, at::get_num_threads());
  open.model->to(device);
  if (command.content != "embed_only" && open.model->classes() == 0) {
    throw Error(fmt::format("{} has no classifier: --content embed_only", open.name));
  }
  if (command.content != "embed_only") load::require_classifier(open);
  const frontend::Frontend frontend(open.frontend, schema::AugmentOptions{});
  const evaluate::Embedder embedder(frontend, *open.model, settings_of(command, module, open),
                                    device);

  const std::vector<std::string> files = sound_files_of(command.listen.inputs);
  evaluate::EmbeddingFile out(
      command.out, files,
      {{"model", open.name}, {"content", command.content}, {"module", command.module}});
  Failures failures;
  {
    Progress progress("embed", static_cast<int64_t>(files.size()), "clips");
    for (const std::string& file : files) {
      failures.guard(file, [&] { embed(file, command.timestamps, embedder, open, out); });
      progress.add(1);
    }
  }
  if (out.rows() == 0) return failures.report();
  const size_t clips = files.size() - failures.count();
  out.commit();
  if (session.json) {
    fmt::print("{}\n", dump({{"file", command.out},
                             {"clips", clips},
                             {"rows", out.rows()},
                             {"width", out.width()}}));
  } else {
    fmt::print("{}: {} clips, {} rows of {}\n", command.out, clips, out.rows(), out.width());
  }
  return failures.report();
}

}  // namespace xp::cli
