#include "core/evaluate/embed.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/stop.h"
#include "core/dist/device.h"
#include "core/frontend/to_device.h"

namespace xp::evaluate {
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
  const frontend::Waves heard = frontend::Waves::whole(frontend::to_device(waves, device_));
  const frontend::Spectrograms spectrograms = frontend_.forward(heard);
  const dist::Autocast autocast(device_, settings_.precision);
  const model::Output out = model_.forward(spectrograms, {});
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

Sound Sound::of(const at::Tensor& waves) {
  return {waves.size(0), waves.size(1),
          [waves](int64_t begin, int64_t count) { return waves.narrow(1, begin, count).cpu(); }};
}

namespace {

/// Samples [low, high) of a clip of n samples, reflected beyond its ends; `stretch` [B, ..] holds
/// those from `begin` on.
at::Tensor reflected(const at::Tensor& stretch, int64_t begin, int64_t low, int64_t high,
                     int64_t n) {
  std::vector<at::Tensor> parts;
  if (low < 0) parts.push_back(stretch.narrow(1, 1 - begin, -low).flip(1));
  const int64_t first = std::max<int64_t>(low, 0);
  parts.push_back(stretch.narrow(1, first - begin, std::min(high, n) - first));
  if (high > n) parts.push_back(stretch.narrow(1, n - 1 - (high - n) - begin, high - n).flip(1));
  return parts.size() == 1 ? parts[0] : at::cat(parts, 1);
}

}  // namespace

void Embedder::each_batch(const Sound& sound, const std::vector<int64_t>& lengths, int64_t hop,
                          const Work& work) const {
  const int64_t n = sound.samples;
  const int64_t half = *std::max_element(lengths.begin(), lengths.end()) / 2;
  int64_t count = std::numeric_limits<int64_t>::max();
  for (const int64_t length : lengths) {
    if (n <= length / 2) {
      throw Error(
          fmt::format("a clip of {} samples is shorter than half a window of {}", n, length),
          Exit::kData);
    }
    // Windows of odd lengths may leave room for one more.
    count = std::min(count, 1 + (n + length / 2 * 2 - length) / hop);
  }
  for (int64_t first = 0; first < count; first += settings_.batch) {
    throw_if_stopped();
    const int64_t windows = std::min(settings_.batch, count - first);
    const int64_t last = (first + windows - 1) * hop;  // middle of the last window
    // What the largest windows reach over, and what is reflected at an end.
    const int64_t begin =
        std::clamp<int64_t>(first * hop - half, 0, std::max<int64_t>(0, n - 1 - half));
    const int64_t end = std::min(n, std::max(last + half + 1, half + 1));
    const at::Tensor stretch = sound.read(begin, end - begin);
    std::vector<at::Tensor> of_each;
    for (const int64_t length : lengths) {
      const int64_t low = first * hop - length / 2;
      const int64_t high = last - length / 2 + length;
      of_each.push_back(reflected(stretch, begin, low, high, n)
                            .unfold(1, length, hop)
                            .flatten(0, 1)
                            .contiguous());
    }
    work(first, of_each);
  }
}

at::Tensor Embedder::scene(const Sound& sound) const {
  const at::NoGradGuard no_grad;
  const int64_t longest = samples_of(settings_.longest_ms, settings_.rate_hz);
  if (sound.samples <= longest) return forward(sound.read(0, sound.samples));
  const int64_t hop = samples_of(settings_.scene_hop_ms, settings_.rate_hz);
  at::Tensor sum;
  int64_t count = 0;
  each_batch(sound, {longest}, hop, [&](int64_t, const std::vector<at::Tensor>& windows) {
    const at::Tensor values = forward(windows[0]).unflatten(0, {sound.clips, -1}).to(at::kDouble);
    count += values.size(1);
    sum = sum.defined() ? sum + values.sum(1) : values.sum(1);
  });
  return (sum / static_cast<double>(count)).to(at::kFloat);
}

void Embedder::timestamps(const Sound& sound,
                          const std::function<void(TimeEmbeddings)>& take) const {
  const at::NoGradGuard no_grad;
  const int64_t window = samples_of(settings_.window_ms, settings_.rate_hz);
  const int64_t hop = samples_of(settings_.hop_ms, settings_.rate_hz);
  std::vector<int64_t> lengths;
  for (const int64_t level : settings_.levels) lengths.push_back(window * level);
  if (settings_.mel_samples > 0) lengths.push_back(settings_.mel_samples);
  each_batch(sound, lengths, hop, [&](int64_t first, const std::vector<at::Tensor>& windows) {
    std::vector<at::Tensor> side;
    for (size_t i = 0; i < windows.size(); ++i) {
      const at::Tensor values =
          i < settings_.levels.size()
              ? forward(windows[i])
              : frontend_.forward(frontend::Waves::whole(frontend::to_device(windows[i], device_)))
                    .mel.flatten(1)
                    .to(at::kFloat)
                    .cpu();
      side.push_back(values.unflatten(0, {sound.clips, -1}));
    }
    TimeEmbeddings out;
    out.values = side.size() == 1 ? side[0] : at::cat(side, 2);
    for (int64_t i = first; i < first + out.values.size(1); ++i)
      out.times_ms.push_back(static_cast<double>(i * hop) * 1000.0 /
                             static_cast<double>(settings_.rate_hz));
    take(std::move(out));
  });
}

TimeEmbeddings Embedder::timestamps(const Sound& sound) const {
  TimeEmbeddings all;
  std::vector<at::Tensor> parts;
  timestamps(sound, [&](const TimeEmbeddings& some) {
    parts.push_back(some.values);
    all.times_ms.insert(all.times_ms.end(), some.times_ms.begin(), some.times_ms.end());
  });
  all.values = at::cat(parts, 1);
  return all;
}

}  // namespace xp::evaluate
