// exp embed: embeddings of sound files, as HEAR 2021 asks for them.
#include "core/train/embed.h"

#include <filesystem>

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/progress.h"
#include "core/cli/compute/listen.h"
#include "core/cli/run_text.h"
#include "core/frontend/frontend.h"
#include "core/schema/augment.h"
#include "core/train/device.h"
#include "core/train/logits_file.h"

namespace xp::cli {
namespace {

using train::EmbedSettings;

EmbedSettings settings_of(const EmbedCommand& command, const train::EmbedModule* module,
                          const train::OpenModel& open) {
  EmbedSettings settings = module != nullptr ? module->settings : EmbedSettings{};
  settings.rate_hz = open.frontend.rate_hz;
  settings.batch = command.listen.batch;
  settings.content = command.content == "all"          ? EmbedSettings::Content::kAll
                     : command.content == "embed_only" ? EmbedSettings::Content::kFeatures
                                                       : EmbedSettings::Content::kLogits;
  return settings;
}

void append(train::ScoreFile& file, const at::Tensor& rows, const std::string& id) {
  const at::Tensor values = rows.contiguous();
  const float* const data = values.const_data_ptr<float>();
  file.values.insert(file.values.end(), data, data + values.numel());
  file.width = values.size(1);
  for (int64_t i = 0; i < values.size(0); ++i) file.ids.push_back(id);
}

}  // namespace

int compute_embed(Command& base, Session& session) {
  const auto& command = dynamic_cast<EmbedCommand&>(base);
  const train::EmbedModule* module = nullptr;
  if (!command.module.empty()) {
    module = train::find_embed_module(command.module);
    if (module == nullptr) {
      std::vector<std::string_view> names;
      for (const auto& m : train::embed_modules()) names.push_back(m.name);
      const std::string near = nearest(command.module, names);
      throw Error(fmt::format(
          "there is no module '{}'{}", command.module,
          near.empty() ? "; see `exp embed --help`" : fmt::format("; did you mean '{}'?", near)));
    }
  }
  const std::string what =
      !command.source.checkpoint.empty() ? command.source.checkpoint : std::string(module->weights);
  train::OpenModel open =
      train::open_model(what, open_options(command.source, command.listen.tome_r));
  // Windows are as long as they are: the front end must not pad or cut them.
  if (open.frontend.kind == schema::FrontendKind::kAugmentMel) open.frontend.clip_s = 0;
  const at::Device device = train::find_device(command.listen.device);
  train::prepare_device(device, at::get_num_threads());
  open.model->to(device);
  if (command.content != "embed_only" && open.model->classes() == 0) {
    throw Error(fmt::format("{} has no classifier: --content embed_only", open.name));
  }
  const frontend::Frontend frontend(open.frontend, schema::AugmentOptions{});
  const train::Embedder embedder(frontend, *open.model, settings_of(command, module, open), device);

  const std::vector<std::string> files = sound_files_of(command.listen.inputs);
  train::ScoreFile out;
  out.dataset = "embeddings";
  out.texts = {{"model", open.name}, {"content", command.content}, {"module", command.module}};
  {
    Progress progress("embed", static_cast<int64_t>(files.size()), "clips");
    for (const std::string& file : files) {
      const at::Tensor wave = read_wave(file, open.frontend.rate_hz);
      if (command.timestamps) {
        const train::TimeEmbeddings times = embedder.timestamps(wave);
        append(out, times.values[0], file);
        out.times_ms.insert(out.times_ms.end(), times.times_ms.begin(), times.times_ms.end());
      } else {
        append(out, embedder.scene(wave), file);
      }
      progress.add(1);
    }
  }
  train::write_scores(command.out, out);
  if (session.json) {
    fmt::print("{}\n", dump({{"file", command.out},
                             {"clips", files.size()},
                             {"rows", out.ids.size()},
                             {"width", out.width}}));
  } else {
    fmt::print("{}: {} clips, {} rows of {}\n", command.out, files.size(), out.ids.size(),
               out.width);
  }
  return 0;
}

}  // namespace xp::cli
