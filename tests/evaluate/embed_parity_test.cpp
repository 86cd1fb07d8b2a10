// Clip and time embeddings against passt_hear21's: every case of hear.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "core/evaluate/embed.h"
#include "core/model/files/import.h"
#include "core/model/trunk.h"
#include "core/schema/augment.h"
#include "core/schema/frontend.h"
#include "tests/testing/fixtures.h"
#include "tests/testing/tensors.h"

namespace xp::evaluate {
namespace {

using testing::Case;
using testing::floats_of;
using testing::Report;

model::Trunk network(const Case& c) {
  const auto& j = c.json;
  const checkpoint::Archive archive = checkpoint::Archive::open(c.folder / j.at("weights").at(0));
  model::TrunkOptions o;
  o.dim = j.at("embed_dim");
  o.depth = j.at("depth");
  o.heads = j.at("num_heads");
  o.classes = j.at("n_classes");
  o.stride_f = j.at("stride").at(0);
  o.stride_t = j.at("stride").at(1);
  o.position = model::PositionKind::kSeparate;
  o.grid = {archive.find("net.freq_new_pos_embed")->shape.at(2),
            archive.find("net.time_new_pos_embed")->shape.at(3)};
  model::Trunk net(o, model::Init(0, false));
  load_weights(net, archive, "wrapper.pt");
  return net;
}

schema::FrontendOptions front_end(const Case& c) {
  const auto& mel = c.json.at("mel");
  auto o = schema::FrontendOptions::of_kind(schema::FrontendKind::kAugmentMel);
  o.rate_hz = c.json.at("sample_rate");
  o.window_samples = mel.at("win_length");
  o.hop_samples = mel.at("hopsize");
  o.fft_size = mel.at("n_fft");
  o.low_hz = mel.at("fmin");
  o.high_hz = mel.at("fmax");
  o.clip_s = 0;
  return o;
}

EmbedSettings settings_of(const Case& c) {
  const auto& j = c.json;
  EmbedSettings s;
  s.rate_hz = j.at("sample_rate");
  s.longest_ms = j.at("max_model_window_ms");
  s.scene_hop_ms = j.at("scene_hop_ms");
  s.window_ms = j.at("timestamp_window_ms");
  s.hop_ms = j.at("timestamp_hop_ms");
  const std::string mode = j.at("mode");
  s.content = mode == "all"          ? EmbedSettings::Content::kAll
              : mode == "embed_only" ? EmbedSettings::Content::kFeatures
                                     : EmbedSettings::Content::kLogits;
  return s;
}

void hear(const Case& c, Report& report) {
  const testing::Array& audio = c.at("input/audio_int16");
  const at::Tensor waves = at::tensor(audio.i64).reshape(audio.shape).to(at::kFloat).div_(32768);
  const model::Trunk net = network(c);
  const frontend::Frontend mel(front_end(c), schema::AugmentOptions{});
  const EmbedSettings settings = settings_of(c);
  const Embedder embedder(mel, net, settings, at::kCPU);
  report.compare("output/scene_embedding", floats_of(embedder.scene(Sound::of(waves))));
  const TimeEmbeddings times = embedder.timestamps(Sound::of(waves));
  report.compare("output/timestamp_embeddings", floats_of(times.values));
  std::vector<double> stamps;
  for (int64_t clip = 0; clip < waves.size(0); ++clip)
    stamps.insert(stamps.end(), times.times_ms.begin(), times.times_ms.end());
  report.compare("output/timestamps_ms", stamps);
  if (!c.has("output/timestamp_embeddings_5x")) return;
  EmbedSettings both = settings;
  both.levels = {1, 5};
  both.mel_samples = 1920;
  both.batch = 17;  // another cut of the windows into batches changes nothing
  const int64_t size = times.values.size(2);
  const at::Tensor values = Embedder(mel, net, both, at::kCPU).timestamps(Sound::of(waves)).values;
  report.compare("output/timestamp_embeddings", floats_of(values.narrow(2, 0, size)));
  report.compare("output/timestamp_embeddings_5x", floats_of(values.narrow(2, size, size)));
  // The case holds every fifth of them.
  const at::Tensor mels = values.narrow(2, 2 * size, values.size(2) - 2 * size);
  const int64_t kept = c.at("output/timestamp_mels").shape.at(1);
  const int64_t step = (mels.size(1) + kept - 1) / kept;
  report.compare("output/timestamp_mels", floats_of(mels.slice(1, 0, mels.size(1), step)));
}

TEST(EmbedParity, Hear) {
  at::set_num_threads(1);
  testing::expect_parity({"hear"}, {{"hear", hear}});
}

TEST(EmbedParity, FlippedValuesAreNoticed) {
  at::set_num_threads(1);
  testing::expect_flips_noticed({{"hear", hear}});
}

TEST(Embed, ModulesOfHear21) {
  EXPECT_EQ(embed_modules().size(), 12U);
  for (const EmbedModule& m : embed_modules()) EXPECT_EQ(find_embed_module(m.name), &m);
  EXPECT_EQ(find_embed_module("base2levelF"), nullptr);
}

}  // namespace
}  // namespace xp::evaluate
