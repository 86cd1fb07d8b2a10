// transformers' ASTForAudioClassification (models/audio_spectrogram_transformer) as its
// save_pretrained writes it. Entries that are left out have the class's defaults.
#include "core/load/transformers_config.h"

#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/model/files/key_map.h"
#include "core/schema/geometry.h"

namespace xp::load {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr size_t kMostBytes = 16'000'000;

/// One of the two files, with errors that name the file and the entry.
class Config {
 public:
  explicit Config(fs::path file) : file_(std::move(file)) {
    object_ = json::parse(read_file(file_, kMostBytes), nullptr, /*allow_exceptions=*/false);
    if (!object_.is_object()) bad("is no JSON object");
  }

  [[noreturn]] void bad(const std::string& what) const {
    throw Error(xp::Place{file_.string()}, checkpoint::printable(what), Exit::kData);
  }
  bool has(const char* key) const { return object_.contains(key) && !object_.at(key).is_null(); }
  const json& at(const char* key) const { return object_.at(key); }

  int64_t whole(const char* key, int64_t otherwise, int64_t most) const {
    if (!has(key)) return otherwise;
    const json& value = at(key);
    if (!value.is_number_integer() || value < 1 || value > most)
      bad(fmt::format("{} is {}: a whole number from 1 to {}", key, value.dump(), most));
    return value.get<int64_t>();
  }
  double real(const char* key, double otherwise) const {
    if (!has(key)) return otherwise;
    if (!at(key).is_number()) bad(fmt::format("{} is {}: a number", key, at(key).dump()));
    return at(key).get<double>();
  }
  bool flag(const char* key, bool otherwise) const {
    if (!has(key)) return otherwise;
    if (!at(key).is_boolean()) bad(fmt::format("{} is {}: true or false", key, at(key).dump()));
    return at(key).get<bool>();
  }
  std::string text(const char* key, const std::string& otherwise) const {
    if (!has(key)) return otherwise;
    if (!at(key).is_string()) bad(fmt::format("{} is {}: a text", key, at(key).dump()));
    return at(key).get<std::string>();
  }

 private:
  fs::path file_;
  json object_;
};

schema::ModelOptions described_model(const Config& config) {
  auto model = schema::ModelOptions::of_kind(schema::Family::k_ast);
  const int64_t patch = config.whole("patch_size", 16, 512);
  const schema::TransformerSizes sizes{config.whole("hidden_size", 768, 8192),
                                       config.whole("num_hidden_layers", 12, 96),
                                       config.whole("num_attention_heads", 12, 128), patch, patch};
  if (sizes.dim % sizes.heads != 0)
    config.bad(fmt::format("hidden_size = {} is not a multiple of num_attention_heads = {}",
                           sizes.dim, sizes.heads));
  schema::set_sizes(model, schema::Family::k_ast, sizes);
  const int64_t hidden = config.whole("intermediate_size", 3072, 32768);
  model.mlp_dim = hidden == 4 * sizes.dim ? 0 : hidden;
  model.fstride = config.whole("frequency_stride", 10, patch);
  model.tstride = config.whole("time_stride", 10, patch);
  const std::string act = config.text("hidden_act", "gelu");
  if (act != "gelu" && act != "relu")
    config.bad(fmt::format("hidden_act = {} is not computed here: gelu and relu are", act));
  model.activation = act == "relu" ? schema::MlpActivation::kRelu : schema::MlpActivation::kGelu;
  if (!config.flag("qkv_bias", true))
    config.bad("qkv_bias = false is not computed here: queries, keys and values have a bias");
  // Every normalisation has it, the classifier's too.
  model.norm_eps = model.head_norm_eps = config.real("layer_norm_eps", 1e-12);
  if (!(model.norm_eps > 0 && model.norm_eps <= 1))
    config.bad(fmt::format("layer_norm_eps is {}: a number above 0", model.norm_eps));
  return model;
}

/// Names by index; that is all that id2label knows, so that the ids are the indices.
ClassList names_of_labels(const Config& config, int64_t classes) {
  ClassList labels;
  for (int64_t k = 0; k < classes; ++k) labels.emplace_back(std::to_string(k), std::to_string(k));
  if (!config.has("id2label")) return labels;
  const json& names = config.at("id2label");
  if (!names.is_object() || static_cast<int64_t>(names.size()) != classes)
    config.bad(
        fmt::format("id2label has {} labels, the classifier {} classes", names.size(), classes));
  for (auto& [id, name] : labels) {
    if (!names.contains(id) || !names.at(id).is_string())
      config.bad(fmt::format("id2label has no text for class {}", id));
    name = names.at(id).get<std::string>();
  }
  return labels;
}

/// The front end of ASTFeatureExtractor: 25 ms windows every 10 ms, AST's normalisation unless it
/// says another.
schema::FrontendOptions described_input(const Config& config, const fs::path& folder) {
  auto frontend = schema::FrontendOptions::of_kind(schema::FrontendKind::kKaldi);
  frontend.mel_bins = config.whole("num_mel_bins", 128, 512);
  frontend.frames = config.whole("max_length", 1024, 100000);
  const fs::path file = folder / "preprocessor_config.json";
  if (!fs::exists(file)) return frontend;
  const Config input(file);
  const auto agree = [&](const char* key, int64_t otherwise, int64_t ours) {
    const int64_t there = input.whole(key, otherwise, 1'000'000);
    if (there != ours) input.bad(fmt::format("{} is {}, in config.json {}", key, there, ours));
  };
  agree("num_mel_bins", 128, frontend.mel_bins);
  agree("max_length", 1024, frontend.frames);
  if (input.text("feature_extractor_type", "ASTFeatureExtractor") != "ASTFeatureExtractor")
    input.bad("feature_extractor_type is no ASTFeatureExtractor");
  if (input.real("padding_value", 0) != 0) input.bad("padding_value is not 0");
  frontend.rate_hz = input.whole("sampling_rate", 16000, 48000);
  frontend.window_samples = frontend.rate_hz * 25 / 1000;
  frontend.hop_samples = frontend.rate_hz * 10 / 1000;
  for (frontend.fft_size = 16; frontend.fft_size < frontend.window_samples;) frontend.fft_size *= 2;
  const bool normalised = input.flag("do_normalize", true);
  frontend.norm_mean = normalised ? input.real("mean", -4.2677393) : 0;
  frontend.norm_std = normalised ? input.real("std", 4.5689974) : 0.5;
  if (!(frontend.norm_std > 0)) input.bad("std is not above 0");
  return frontend;
}

}  // namespace

std::optional<Carried> transformers_config(const checkpoint::Archive& archive,
                                           const fs::path& file) {
  const fs::path folder = file.parent_path();
  if (!fs::exists(folder / "config.json")) return std::nullopt;
  if (model::original_of(archive) != model::Original::kHuggingFace) return std::nullopt;
  const Config config(folder / "config.json");
  const std::string type = config.text("model_type", "audio-spectrogram-transformer");
  if (type != "audio-spectrogram-transformer")
    config.bad(fmt::format("model_type is {}, not audio-spectrogram-transformer", type));
  Carried carried;
  carried.others = true;
  carried.model = described_model(config);
  carried.frontend = described_input(config, folder);
  carried.geometry = {carried.frontend.mel_bins, carried.frontend.frames};
  const checkpoint::Entry* head = nullptr;
  for (const checkpoint::Entry& entry : archive.entries())
    if (entry.name.ends_with("classifier.dense.weight") && !entry.shape.empty()) head = &entry;
  if (head == nullptr) {
    carried.model.head = schema::Head::kNone;
  } else {
    carried.classes = names_of_labels(config, head->shape[0]);
  }
  return carried;
}

}  // namespace xp::load
