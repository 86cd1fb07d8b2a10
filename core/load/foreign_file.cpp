#include "core/load/foreign_file.h"

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/model/files/cnn_file.h"
#include "core/model/files/key_map.h"
#include "core/schema/adjust.h"

namespace xp::load {
namespace {

/// Keys of a CNN that names and shapes show: a difference would end in a list of tensors.
const std::vector<std::string_view> kShownByCnn = {"cnn_head",
                                                   "multihead_attention_heads",
                                                   "reduced_tail",
                                                   "se_dims",
                                                   "se_r",
                                                   "no_dyconv",
                                                   "dyconv_k",
                                                   "no_dyrelu",
                                                   "dyrelu_k",
                                                   "context_ratio",
                                                   "min_context_size",
                                                   "max_context_size"};

/// With what its architecture and other keys stand for in place of "as they say".
schema::ModelOptions spelt_out(schema::ModelOptions options) {
  const schema::Arch arch = options.resolved();
  options.heads = arch.heads;
  options.strides.assign(arch.strides.begin(), arch.strides.end());
  if (options.final_norm_eps == 0) options.final_norm_eps = options.norm_eps;
  return options;
}

std::vector<schema::ModelDifference> differences(const checkpoint::Archive& archive,
                                                 const std::filesystem::path& file,
                                                 const schema::ModelOptions* carried,
                                                 const schema::ModelOptions& ours,
                                                 const model::Geometry& input) {
  const auto untraced = [&](const schema::ModelOptions& theirs) {
    return schema::model_differences(spelt_out(theirs), spelt_out(ours),
                                     schema::keys_without_trace());
  };
  if (carried != nullptr) return untraced(*carried);
  if (const auto config = model::torchonly_config(archive, file)) return untraced(config->model);
  if (!schema::is_cnn(ours.resolved().family)) return {};
  const model::Original original = model::original_of(archive);
  if (original != model::Original::kMn && original != model::Original::kDymn) return {};
  schema::ModelOptions shown = ours;
  model::read_cnn(archive, shown, input);
  return schema::model_differences(shown, ours, kShownByCnn);
}

}  // namespace

std::string model_difference(const checkpoint::Archive& archive, const std::filesystem::path& file,
                             const schema::ModelOptions* carried, const schema::ModelOptions& ours,
                             const model::Geometry& input) {
  std::string text;
  for (const auto& d : differences(archive, file, carried, ours, input)) {
    text += fmt::format("{}model.{} = {} in {} (here {})", text.empty() ? "" : ", ", d.key,
                        d.theirs, file.filename().string(), d.ours);
  }
  return text;
}

void take_description(const model::TorchOnlyConfig& config, const std::string& name,
                      const std::string& arch, int64_t fstride, int64_t tstride,
                      schema::ModelOptions& options, schema::FrontendOptions& frontend) {
  const schema::Arch own = config.model.resolved();
  const auto differ = [&](const char* option, const auto& given, const auto& said) {
    throw Error(fmt::format("{} says its model itself: {} is {} there, {} here; leave it out", name,
                            option, said, given));
  };
  if (!arch.empty()) {
    const auto given = schema::find_arch(arch);
    if (!given || given->dim != own.dim || given->depth != own.depth || given->heads != own.heads)
      differ("--arch", arch,
             fmt::format("{} with dim {}, depth {}, heads {}", config.model.arch, own.dim,
                         own.depth, own.heads));
  }
  if (fstride > 0 && fstride != config.model.fstride)
    differ("--fstride", fstride, config.model.fstride);
  if (tstride > 0 && tstride != config.model.tstride)
    differ("--tstride", tstride, config.model.tstride);
  options = config.model;
  const bool kaldi = own.family != schema::Family::k_passt;
  frontend = schema::FrontendOptions::of_kind(kaldi ? schema::FrontendKind::kKaldi
                                                    : schema::FrontendKind::kAugmentMel);
  frontend.mel_bins = config.input.F;
}

std::string granted(const schema::ModelOptions& options, const schema::FrontendOptions& frontend,
                    const std::set<std::string>& said) {
  const std::string taken = model::untold_by_cnn(options, frontend.mel_bins, said);
  if (taken.empty()) return "";
  return fmt::format("the file does not show {}: these are taken; --set KEY=VALUE says others",
                     taken);
}

}  // namespace xp::load
