#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "data/clip.h"

namespace xp::schema {
struct DatasetOptions;
}

namespace xp::data {

/// A class: the identifier that label files use (AudioSet's mid, or the name itself) and the name
/// for people.
struct ClassInfo {
  std::string id;
  std::string name;
};

/// A named part of a set. A recipe may name the part itself or its group: AudioSet's
/// `balanced_train` and `unbalanced_train` are both of the group `train`.
struct Split {
  std::string name;
  std::string group;  ///< train, val or test
};

/// A clip that the set's lists name but whose sound is not there.
struct Absent {
  std::string id;
  std::string split;
  std::string reason;
};

/// Files beside the clips that are no clips by their ending: how many of each (".m4a", ..).
using LeftOut = std::map<std::string, int64_t>;

/// Everything that a data set says before any sound is read.
struct Listing {
  std::vector<ClassInfo> classes;
  std::vector<Split> splits;
  std::vector<Clip> clips;  ///< in the set's own order: it is the order of the rows of the shards
  std::vector<Absent> absent;      ///< in the same order
  std::vector<std::string> files;  ///< the list and label files that were read, for digests
  LeftOut left_out;                ///< of the folders that were looked through for sounds
  bool folds = false;   ///< clips carry folds; `test_fold` and `val_fold` choose the splits
  bool masked = false;  ///< some classes of some clips are unknown (OpenMIC)
};

/// Lists the clips of the set `options.name` under `options.root`. `options.also` is not looked at.
/// Throws Error (kData): a missing folder (with the layout that was expected), a broken list (with
/// file, line and column), a label that is not in the class list, two clips of the same id in one
/// split.
Listing list_dataset(const schema::DatasetOptions& options);

/// A set and those that `options.also` joins to it, in order; component i is listings[i]. The class
/// list of the join is the union by class id, in order of first appearance.
struct JoinedListing {
  std::vector<Listing> sets;  ///< labels already refer to `classes`
  std::vector<ClassInfo> classes;
};
JoinedListing list_joined(const schema::DatasetOptions& options);

/// Names of all sets, sorted, and what the folder of one must look like (several lines of text).
std::vector<std::string_view> dataset_names();
std::string_view dataset_layout(std::string_view name);

}  // namespace xp::data
