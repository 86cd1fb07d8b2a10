#pragma once

#include "tracker/sqlite.h"

namespace xp::tracker {

/// The tables of docs/formats/tracker.md.
extern const sql::Schema kRunSchema;  ///< runs/ULID/run.db
extern const sql::Schema
    kCurvesSchema;  ///< cache/KIND/KEY/curves.db: the metric tables of run.db alone
extern const sql::Schema kIndexSchema;  ///< index.db

}  // namespace xp::tracker
