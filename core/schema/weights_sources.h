#pragma once

#include <filesystem>
#include <span>
#include <string_view>

namespace xp::schema {

/// Where published weights come from: one line of weights_sources.inc for each of weights.inc.
struct WeightsSource {
  std::string_view name;
  std::string_view url;
  std::string_view licence;  ///< SPDX, of the repository that published them

  /// The first digits of the file's SHA-256 where its name ends in them ("..-d0272ac0.pth":
  /// torch.hub's custom); else "".
  std::string_view digest_start() const;
};

std::span<const WeightsSource> weights_sources();
/// nullptr for a name that is not published.
const WeightsSource* find_weights_source(std::string_view name);

/// Where downloaded weights are: $EXP_WEIGHTS, or ~/.local/share/exp/weights.
std::filesystem::path weights_folder();
/// weights_folder()/NAME with the ending of the release's file. `exp fetch` writes beside it
/// FILE.sha256.
std::filesystem::path weights_file(const WeightsSource& source);

}  // namespace xp::schema
