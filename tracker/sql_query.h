#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "tracker/value.h"

namespace xp::tracker {

struct SqlTable {
  std::vector<std::string> columns;
  struct Cell {
    bool null = false;
    Value value;
  };
  std::vector<std::vector<Cell>> rows;
};

/// One SELECT over a workspace. Tables: those of index.db (all runs); with `run`, those of its
/// run.db as schema `run`; and the table-valued function `points(RUN, METRIC, RANK)`, which decodes
/// stored blocks:
///
///   SELECT step, value FROM points('last', 'train.train.loss') WHERE step > 100
///
/// Its columns: metric, rank, attempt, step, t_ns, value; METRIC and RANK may be left out (all
/// metrics, rank 0). Throws Error (kUsage) with SQLite's message for a statement that is wrong,
/// that writes, or where there is more than one.
SqlTable run_sql(const std::filesystem::path& workspace, const std::string& statement,
                 std::string_view run);

}  // namespace xp::tracker
