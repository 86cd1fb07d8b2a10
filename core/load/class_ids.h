#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

/// Which class of one list is which of another: torch-free.
namespace xp::load {

/// Classes in the order of the logits: id, name.
using ClassList = std::vector<std::pair<std::string, std::string>>;

/// False where the ids are "0", "1", ...: those that a file gets which does not name its classes.
bool says_ids(const ClassList& classes);

/// Where each of `wanted` stands in `there`, by id; nullopt when one of them is not there.
std::optional<std::vector<int64_t>> places_by_id(const ClassList& wanted, const ClassList& there);

/// The first of `wanted` whose id is not in `there`; "" for none.
std::string first_absent(const ClassList& wanted, const ClassList& there);

/// Throws Error (kData) unless both have the same ids in the same order; `whose`: "student.last".
void require_same_classes(const ClassList& theirs, const ClassList& ours, const std::string& whose);

}  // namespace xp::load
