#include "data/earlier.h"

#include <algorithm>
#include <string_view>

#include "core/base/error.h"
#include "core/schema/sound_files.h"

namespace xp::data {
namespace {

/// The endings that version 4 listed of a folder. Of several files of one clip it took the first of
/// these, and so does a longer list that has one of these first.
bool was_listed(const Source& source) {
  const auto* file = std::get_if<FileSource>(&source);
  if (file == nullptr) return true;
  const std::string ending = schema::ending_of(file->file);
  constexpr std::string_view kListed[] = {".wav", ".flac", ".ogg", ".opus",
                                          ".mp3", ".aiff", ".aif"};
  return std::find(std::begin(kListed), std::end(kListed), ending) != std::end(kListed);
}

bool may_be_cut_off(std::span<const int16_t> pcm) {
  return std::any_of(pcm.begin(), pcm.end(),
                     [](int16_t x) { return x == INT16_MAX || x == INT16_MIN; });
}

}  // namespace

EarlierShards::EarlierShards(const std::filesystem::path& folder, std::span<const Listed> clips,
                             const std::vector<Listing>& sets)
    : shards_(folder), row_(clips.size(), -1) {
  const auto name = [](const std::vector<Split>& splits, int split) -> std::string_view {
    return split < 0 ? std::string_view() : splits.at(static_cast<size_t>(split)).name;
  };
  // The rows are the clips but for those that it could not use or did not list.
  int64_t row = 0;
  for (size_t i = 0; i < clips.size() && row < shards_.clips(); ++i) {
    const Clip& clip = *clips[i].clip;
    const auto& splits = sets[static_cast<size_t>(clips[i].set)].splits;
    const bool same =
        shards_.id(row) == clip.id && shards_.set(row) == clips[i].set &&
        shards_.fold(row) == clip.fold &&
        name(shards_.splits(clips[i].set), shards_.split(row)) == name(splits, clip.split);
    if (!same) continue;
    if (was_listed(clip.source)) row_[i] = row;
    ++row;
  }
}

std::optional<StoredClip> EarlierShards::take(size_t clip, ShardStore store) const {
  const int64_t row = row_[clip];
  if (row < 0 || shards_.scale(row) != 1.0F) return std::nullopt;
  std::vector<int16_t> pcm(static_cast<size_t>(shards_.samples(row)));
  try {
    shards_.read(row, pcm);
  } catch (const Error&) {
    return std::nullopt;  // damaged: the file itself is decoded
  }
  if (may_be_cut_off(pcm)) return std::nullopt;
  StoredClip out = store_pcm(pcm, shards_.rate_hz(), store);
  out.record.source_s = shards_.source_seconds(row);
  out.taken_over = true;
  return out;
}

}  // namespace xp::data
