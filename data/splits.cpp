// Which clips are training, validation and test clips, by the recipe's words.
#include "data/splits.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/base/digest.h"
#include "core/base/error.h"
#include "core/schema/dataset.h"
#include "data/shard.h"

namespace xp::data {
namespace {

/// What one joined set gives to a role.
struct Choice {
  std::vector<bool> split;   ///< by split index: taken
  int fold = 0;              ///< > 0: this fold
  std::vector<int> all_but;  ///< not empty: every fold but these
};

const std::string& wanted_name(const schema::DatasetOptions& options, std::string_view role) {
  if (role == "train") return options.train;
  if (role == "val") return options.val;
  XP_CHECK(role == "test", fmt::format("unknown role '{}'", role));
  return options.test;
}

Choice choose_fold(const schema::DatasetOptions& options, std::string_view name) {
  const int test = static_cast<int>(options.test_fold);
  const int val = static_cast<int>(options.val_fold);
  Choice choice;
  if (name == "test") {
    choice.fold = test;
  } else if (name == "val") {
    choice.fold = val;
  } else if (name == "train") {
    choice.all_but = {test, val};
  } else {
    throw Error(
        fmt::format("dataset: no split '{}'; a set with folds has train, val and test", name));
  }
  return choice;
}

Choice choose(const std::vector<Split>& splits, bool folds, const schema::DatasetOptions& options,
              std::string_view role) {
  const std::string& name = wanted_name(options, role);
  Choice choice;
  choice.split.assign(splits.size(), false);
  if (name == "none" || name.empty()) return choice;
  if (folds) return choose_fold(options, name);
  bool found = false;
  for (size_t i = 0; i < splits.size(); ++i) {
    choice.split[i] = splits[i].name == name || splits[i].group == name;
    found = found || choice.split[i];
  }
  if (!found) {
    std::vector<std::string> names;
    for (const Split& one : splits) names.push_back(one.name);
    throw Error(fmt::format("dataset.{} = \"{}\": the data set has no such split; it has: {}", role,
                            name, fmt::join(names, ", ")));
  }
  return choice;
}

bool taken(const Choice& choice, int split, int fold) {
  if (!choice.all_but.empty()) return fold != choice.all_but[0] && fold != choice.all_but[1];
  if (choice.fold > 0) return fold == choice.fold;
  return split >= 0 && static_cast<size_t>(split) < choice.split.size() &&
         choice.split[static_cast<size_t>(split)];
}

/// The share of the rows whose ids hash lowest, ascending, at least one.
std::vector<uint32_t> share_of(const ShardReader& shards, const std::vector<uint32_t>& rows,
                               double share) {
  const auto kept = static_cast<size_t>(
      std::clamp<double>(std::round(share * static_cast<double>(rows.size())), 1,
                         static_cast<double>(std::max<size_t>(1, rows.size()))));
  if (kept >= rows.size()) return rows;
  std::vector<std::pair<uint64_t, uint32_t>> order;
  order.reserve(rows.size());
  for (const uint32_t row : rows)
    order.emplace_back(checksum64(std::as_bytes(std::span(shards.id(row)))), row);
  std::nth_element(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(kept), order.end());
  std::vector<uint32_t> chosen;
  for (size_t i = 0; i < kept; ++i) chosen.push_back(order[i].second);
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

}  // namespace

std::vector<uint32_t> rows_of_split(const ShardReader& shards,
                                    const schema::DatasetOptions& options, std::string_view role) {
  std::vector<Choice> choices;
  XP_CHECK(shards.sets() == 1 + static_cast<int64_t>(options.also.size()),
           "the shards hold other sets than the options");
  for (int64_t set = 0; set < shards.sets(); ++set) {
    const auto at = static_cast<size_t>(set);
    choices.push_back(choose(shards.splits(set), shards.has_folds(set),
                             set == 0 ? options : options.also[at - 1], role));
  }
  std::vector<std::vector<uint32_t>> rows_of_set(choices.size());
  for (int64_t row = 0; row < shards.clips(); ++row) {
    const auto set = static_cast<size_t>(shards.set(row));
    if (taken(choices[set], shards.split(row), shards.fold(row)))
      rows_of_set[set].push_back(static_cast<uint32_t>(row));
  }
  std::vector<uint32_t> rows;
  for (size_t set = 0; set < rows_of_set.size(); ++set) {
    const double share = set == 0 ? options.train_p : options.also[set - 1].train_p;
    if (role == "train") rows_of_set[set] = share_of(shards, rows_of_set[set], share);
    rows.insert(rows.end(), rows_of_set[set].begin(), rows_of_set[set].end());
  }
  std::sort(rows.begin(), rows.end());
  return rows;
}

std::vector<const Clip*> clips_of_split(const JoinedListing& joined,
                                        const schema::DatasetOptions& options,
                                        std::string_view role) {
  std::vector<const Clip*> clips;
  for (size_t set = 0; set < joined.sets.size(); ++set) {
    const Listing& listing = joined.sets[set];
    const Choice choice =
        choose(listing.splits, listing.folds, set == 0 ? options : options.also[set - 1], role);
    for (const Clip& clip : listing.clips) {
      if (taken(choice, clip.split, clip.fold)) clips.push_back(&clip);
    }
  }
  return clips;
}

}  // namespace xp::data
