#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/run/workspace.h"
#include "sweeps/table.h"

namespace xp::sweeps {

/// The newest sweep of that family: the one that the same command goes on with.
std::optional<std::filesystem::path> earlier_sweep(const run::Workspace& workspace,
                                                   const std::string& family);

/// Writes a sweep below `sweeps_folder`, or adds to the earlier one: its folder. Fills spec.id.
/// `jobs`: trials at a time.
std::filesystem::path store_sweep(const std::optional<std::filesystem::path>& earlier,
                                  SweepSpec& spec, const std::vector<Trial>& trials,
                                  const std::filesystem::path& sweeps_folder, int jobs);

/// A folder for sweeps that are only looked at (--print): it goes with this object, and no sweep of
/// the workspace changes.
class SweepSketch {
 public:
  SweepSketch();
  ~SweepSketch();
  SweepSketch(const SweepSketch&) = delete;
  SweepSketch& operator=(const SweepSketch&) = delete;
  const std::filesystem::path& folder() const { return folder_; }
  /// A copy of a sweep, in it.
  std::filesystem::path copy_of(const std::filesystem::path& sweep) const;

 private:
  std::filesystem::path folder_;
};

}  // namespace xp::sweeps
