#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "core/train/state.h"

namespace xp::train {

/// Full training states in a folder: `state-STEP.safetensors` (tensors of all States, named
/// STATE/TENSOR) and `state-STEP.json` (their facts, and size and checksum of the tensors' file).
/// The JSON is written last, each file atomically, so a state is there as a whole or not at all
/// (docs/formats/checkpoint.md).
class CheckpointFolder {
 public:
  /// The newest `keep` states stay; at least two, so that a damaged one has one before it.
  explicit CheckpointFolder(std::filesystem::path folder, int keep = 2);

  /// Throws Error (kFailed) when it cannot be written; what was there stays.
  void save(int64_t step, const States& states);

  struct Loaded {
    int64_t step = 0;
    States states;
  };
  /// The newest state that is whole. A damaged one is told to `warn` and passed over. Nullopt when
  /// there is none.
  std::optional<Loaded> load(const std::function<void(std::string_view)>& warn) const;

  /// Removes all but the newest whole state: what a finished training keeps for `train.start_from`.
  void keep_last();

 private:
  std::vector<int64_t> steps() const;  // falling
  std::filesystem::path file(int64_t step, const char* extension) const;
  Loaded read(int64_t step) const;
  void prune(size_t keep);

  std::filesystem::path folder_;
  size_t keep_;
};

}  // namespace xp::train
