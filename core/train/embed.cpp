#include "core/train/embed.h"

#include <algorithm>
#include <array>
#include <utility>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/reflection_pad1d.h>
#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/stop.h"

namespace xp::train {
namespace {

EmbedSettings with(double longest_ms, double scene_hop_ms, std::vector<int64_t> levels,
                   int64_t mel_samples) {
  EmbedSettings s;
  s.longest_ms = longest_ms;
  s.scene_hop_ms = scene_hop_ms;
  s.levels = std::move(levels);
  s.mel_samples = mel_samples;
  return s;
}

const std::vector<EmbedModule>& modules() {
  constexpr const char* kBase = "passt_s_swa_p16_128_ap476";
  constexpr const char* kHop100 = "passt_s_swa_f128_stfthop100_p16_s10_ap473";
  constexpr const char* kHop160 = "passt_s_swa_f128_stfthop160_p16_s10_ap473";
  static const std::vector<EmbedModule> table = {
      {"base", kBase, with(10000, 2500, {1}, 0)},
      {"base2level", kBase, with(10000, 2500, {1, 5}, 0)},
      {"base2levelmel", kBase, with(10000, 2500, {1, 4}, 1920)},
      {"base20sec", "passt_s_f128_20sec_p16_s10_ap474", with(20000, 5000, {1}, 0)},
      {"base30sec", "passt_s_f128_30sec_p16_s10_ap473", with(30000, 10000, {1}, 0)},
      {"hop100base", kHop100, with(10000, 2500, {1}, 0)},
      {"hop100base2lvl", kHop100, with(10000, 2500, {1, 5}, 0)},
      {"hop100base2lvlmel", kHop100, with(10000, 2500, {1, 5}, 600)},
      {"hop160base", kHop160, with(10000, 2500, {1}, 0)},
      {"hop160base2lvl", kHop160, with(10000, 2500, {1, 5}, 0)},
      {"hop160base2lvlmel", kHop160, with(10000, 2500, {1, 5}, 960)},
      {"openmic2008", "openmic_passt_s_f128_10sec_p16_s10_ap85", with(10000, 2500, {1}, 0)},
  };
  return table;
}

}  // namespace

std::span<const EmbedModule> embed_modules() { return modules(); }

const EmbedModule* find_embed_module(std::string_view name) {
  const auto& table = modules();
  const auto found = std::find_if(table.begin(), table.end(),
                                  [name](const EmbedModule& m) { return m.name == name; });
  return found == table.end() ? nullptr : &*found;
}

int64_t samples_of(double ms, int64_t rate_hz) {
  return static_cast<int64_t>(ms * static_cast<double>(rate_hz) / 1000.0);
}

Embedder::Embedder(const frontend::Frontend& frontend, const model::Model& model,
                   EmbedSettings settings, at::Device device)
    : frontend_(frontend), model_(model), settings_(std::move(settings)), device_(device) {
  XP_CHECK(!settings_.levels.empty() && settings_.batch > 0,
           "embed settings without a level or a batch");
}

at::Tensor Embedder::forward(const at::Tensor& waves) const {
  const frontend::Waves heard = frontend::Waves::whole(waves.to(device_));
  const model::Output out = model_.forward(frontend_.forward(heard), {});
  switch (settings_.content) {
    case EmbedSettings::Content::kAll:
      return at::cat({out.logits, out.embedding}, 1).to(at::kFloat).cpu();
    case EmbedSettings::Content::kFeatures:
      return out.embedding.to(at::kFloat).cpu();
    case EmbedSettings::Content::kLogits:
      return out.logits.to(at::kFloat).cpu();
  }
  XP_CHECK(false, "a content without a tensor");
  return {};
}

at::Tensor Embedder::windowed(const at::Tensor& waves, int64_t window, int64_t hop,
                              const Rows& rows) const {
  const int64_t half = window / 2;
  if (waves.size(1) <= half) {
    throw Error(fmt::format("a clip of {} samples is shorter than half a window of {}",
                            waves.size(1), window),
                Exit::kData);
  }
  const at::Tensor padded = at::reflection_pad1d(waves.cpu(), {half, half});
  const at::Tensor windows =
      padded.unfold(1, window, hop).flatten(0, 1);  // [B * S, window], a view
  std::vector<at::Tensor> parts;
  for (int64_t at = 0; at < windows.size(0); at += settings_.batch) {
    throw_if_stopped();
    parts.push_back(
        rows(windows.narrow(0, at, std::min(settings_.batch, windows.size(0) - at)).contiguous()));
  }
  const at::Tensor all = at::cat(parts);
  return all.reshape({waves.size(0), -1, all.size(1)});
}

at::Tensor Embedder::scene(const at::Tensor& waves) const {
  const at::NoGradGuard no_grad;
  const int64_t longest = samples_of(settings_.longest_ms, settings_.rate_hz);
  if (waves.size(1) <= longest) return forward(waves);
  const int64_t hop = samples_of(settings_.scene_hop_ms, settings_.rate_hz);
  return windowed(waves, longest, hop, [this](const at::Tensor& w) { return forward(w); }).mean(1);
}

TimeEmbeddings Embedder::timestamps(const at::Tensor& waves) const {
  const at::NoGradGuard no_grad;
  const int64_t window = samples_of(settings_.window_ms, settings_.rate_hz);
  const int64_t hop = samples_of(settings_.hop_ms, settings_.rate_hz);
  std::vector<at::Tensor> levels;
  for (const int64_t level : settings_.levels) {
    levels.push_back(
        windowed(waves, window * level, hop, [this](const at::Tensor& w) { return forward(w); }));
  }
  if (settings_.mel_samples > 0) {
    levels.push_back(windowed(waves, settings_.mel_samples, hop, [this](const at::Tensor& w) {
      return frontend_.forward(frontend::Waves::whole(w.to(device_)))
          .mel.flatten(1)
          .to(at::kFloat)
          .cpu();
    }));
  }
  // Windows of odd lengths may leave room for one more.
  int64_t count = levels[0].size(1);
  for (const at::Tensor& level : levels) count = std::min(count, level.size(1));
  for (at::Tensor& level : levels) level = level.narrow(1, 0, count);
  TimeEmbeddings out;
  out.values = levels.size() == 1 ? levels[0] : at::cat(levels, 2);
  for (int64_t i = 0; i < count; ++i) {
    out.times_ms.push_back(static_cast<double>(i * hop) * 1000.0 /
                           static_cast<double>(settings_.rate_hz));
  }
  return out;
}

}  // namespace xp::train
