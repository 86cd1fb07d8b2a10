// `exp recipe init`: looks at the sounds. The other parts of `exp recipe` run in `exp`.
#include <algorithm>
#include <cmath>
#include <vector>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/log.h"
#include "core/base/progress.h"
#include "core/base/stop.h"
#include "core/cli/recipe_init.h"
#include "core/ops/log_mel.h"
#include "core/ops/norm_stats.h"
#include "core/schema/dataset.h"
#include "core/schema/sound_files.h"
#include "data/dataset.h"
#include "data/decode.h"

namespace xp::cli {
namespace {

/// Enough for statistics to two digits, and decoded in seconds.
constexpr std::size_t kMostMeasured = 1000;

schema::DatasetOptions dataset_of(const InitArguments& arguments) {
  const auto kind = arguments.json() ? schema::DatasetName::kJson : schema::DatasetName::kFolder;
  auto out = schema::DatasetOptions::of_kind(kind);
  out.labels = arguments.labels;
  if (!arguments.json()) {
    out.root = arguments.data;
    return out;
  }
  out.root = std::filesystem::absolute(arguments.data).parent_path().string();
  out.json_train = arguments.data;
  out.json_val = arguments.val;
  out.json_test = arguments.test;
  return out;
}

/// Clips of the training split, evenly spaced where there are many.
std::vector<const data::Clip*> sample(const data::Listing& listing, InitFacts& facts) {
  std::vector<const data::Clip*> train;
  for (const data::Clip& clip : listing.clips) {
    facts.labels_per_clip =
        std::max<int64_t>(facts.labels_per_clip, static_cast<int64_t>(clip.labels.size()));
    const std::string group =
        clip.split < 0 ? "train" : listing.splits[static_cast<std::size_t>(clip.split)].group;
    if (group == "train") train.push_back(&clip);
    (group == "train" ? facts.train_clips
     : group == "val" ? facts.val_clips
                      : facts.test_clips) += 1;
  }
  if (train.size() <= kMostMeasured) return train;
  std::vector<const data::Clip*> out;
  for (std::size_t i = 0; i < kMostMeasured; ++i)
    out.push_back(train[i * train.size() / kMostMeasured]);
  return out;
}

void measure(const std::vector<const data::Clip*>& clips, InitFacts& facts) {
  data::DecodeOptions decode;
  decode.rate_hz = 16000;
  data::Decoder decoder(decode);
  const ops::LogMel mel(ops::kaldi_options());
  ops::NormStatsSum sum;
  std::vector<double> lengths;
  std::vector<float> values;
  Progress bar("looking at the sounds", static_cast<int64_t>(clips.size()), "clips");
  for (const data::Clip* clip : clips) {
    throw_if_stopped();
    const data::Wave wave = decoder.read(clip->source);
    bar.add(1);
    if (!wave.problem.empty()) continue;
    const auto n = static_cast<int64_t>(wave.samples.size());
    const int64_t frames = mel.frames(n);
    if (frames == 0) continue;
    values.resize(static_cast<std::size_t>(mel.bins() * frames));
    mel.run(wave.samples.data(), n, values.data(), frames, frames);
    sum.add(values);
    lengths.push_back(static_cast<double>(n) / 16000.0);
  }
  if (lengths.empty()) throw Error("none of the sounds could be decoded", Exit::kData);
  std::sort(lengths.begin(), lengths.end());
  facts.length_s = lengths[(lengths.size() - 1) * 19 / 20];
  facts.measured = static_cast<int64_t>(lengths.size());
  const ops::NormStats stats = sum.result();
  facts.norm_mean = std::round(stats.mean * 1e5) / 1e5;
  facts.norm_std = std::max(std::round(stats.std * 1e5) / 1e5, 1e-3);
}

/// Nothing that was given is dropped in silence.
void say_what_is_lost(const data::Listing& listing, const InitArguments& arguments) {
  if (!listing.absent.empty()) {
    const std::size_t listed = listing.clips.size() + listing.absent.size();
    const std::string what = fmt::format(
        "{}: {} of {} listed files are not there, first: {}; relative paths start at {}",
        arguments.data, listing.absent.size(), listed, listing.absent.front().reason,
        std::filesystem::absolute(arguments.data).parent_path().string());
    if (listing.clips.empty()) throw Error(what, Exit::kData);
    log::warn("{}", what);
  }
  const std::string left_out = schema::endings_text(listing.left_out);
  if (!left_out.empty()) log::warn("{}: left out by their ending: {}", arguments.data, left_out);
}

std::string how_to_get_both(const InitArguments& arguments) {
  if (arguments.json()) return "name clips in --data and in --test";
  const std::string folder = std::filesystem::path(arguments.data).lexically_normal().string();
  return fmt::format(
      "put the classes into {0}/train and {0}/test, or give more clips (without such folders one "
      "of "
      "ten is for the test, one for validation, by the hash of its path)",
      folder.ends_with('/') ? folder.substr(0, folder.size() - 1) : folder);
}

}  // namespace

int compute_recipe(Command& command, Session& session) {
  const InitArguments* arguments = init_arguments(command);
  if (arguments == nullptr) return recipe_part(command).run(session);
  const data::Listing listing = data::list_dataset(dataset_of(*arguments));
  say_what_is_lost(listing, *arguments);
  InitFacts facts;
  facts.classes = static_cast<int64_t>(listing.classes.size());
  const auto clips = sample(listing, facts);
  if (facts.train_clips == 0 || facts.test_clips + facts.val_clips == 0) {
    throw Error(fmt::format("{}: {} training and {} test clips; both are needed: {}",
                            arguments->data, facts.train_clips, facts.test_clips + facts.val_clips,
                            how_to_get_both(*arguments)),
                Exit::kData);
  }
  measure(clips, facts);
  write_file_atomic(arguments->output, init_recipe_text(*arguments, facts));
  fmt::print(
      "wrote {}: {} classes, {} training clips, mean {:.4f}, deviation {:.4f}\nnext: exp run {}\n",
      arguments->output, facts.classes, facts.train_clips, facts.norm_mean, facts.norm_std,
      arguments->output);
  return 0;
}

}  // namespace xp::cli
