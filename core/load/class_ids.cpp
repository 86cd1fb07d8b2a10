#include "core/load/class_ids.h"

#include <string_view>
#include <unordered_map>

#include <fmt/format.h>

#include "core/base/error.h"

namespace xp::load {
namespace {

std::unordered_map<std::string_view, int64_t> index_of(const ClassList& classes) {
  std::unordered_map<std::string_view, int64_t> index;
  for (size_t k = 0; k < classes.size(); ++k)
    index.emplace(classes[k].first, static_cast<int64_t>(k));
  return index;
}

}  // namespace

bool says_ids(const ClassList& classes) {
  for (size_t k = 0; k < classes.size(); ++k)
    if (classes[k].first != std::to_string(k)) return true;
  return false;
}

std::optional<std::vector<int64_t>> places_by_id(const ClassList& wanted, const ClassList& there) {
  const auto index = index_of(there);
  std::vector<int64_t> places;
  for (const auto& [id, name] : wanted) {
    const auto found = index.find(id);
    if (found == index.end()) return std::nullopt;
    places.push_back(found->second);
  }
  return places;
}

std::string first_absent(const ClassList& wanted, const ClassList& there) {
  const auto index = index_of(there);
  for (const auto& [id, name] : wanted)
    if (index.count(id) == 0) return id;
  return "";
}

void require_same_classes(const ClassList& theirs, const ClassList& ours,
                          const std::string& whose) {
  if (theirs.size() != ours.size())
    throw Error(
        fmt::format("{} knows {} classes, the data set has {}", whose, theirs.size(), ours.size()),
        Exit::kData);
  for (size_t k = 0; k < ours.size(); ++k)
    if (theirs[k].first != ours[k].first)
      throw Error(fmt::format("class {} of {} is {}, of the data set {}", k, whose, theirs[k].first,
                              ours[k].first),
                  Exit::kData);
}

}  // namespace xp::load
