#pragma once

#include <vector>

#include "tracker/query.h"
#include "tracker/sqlite.h"
#include "tracker/store.h"

/// What an attempt of a run was started with that the one before was not.
namespace xp::tracker {

/// The run gets the name, recipe and parameters of `run`; what they were is noted under its newest
/// attempt. Tags and notes that the recipe did not have before are added. Runs inside the caller's
/// transaction; nothing for a `run` without a recipe.
void take_changes(sql::Database& db, const NewRun& run);

/// What was noted under that attempt, by key.
std::vector<Change> changes_of(const sql::Database& db, int attempt);

}  // namespace xp::tracker
