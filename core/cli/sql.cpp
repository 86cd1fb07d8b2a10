#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/cli/arguments.h"
#include "core/cli/command.h"
#include "core/cli/run_text.h"
#include "tracker/sql_query.h"

namespace xp::cli {
namespace {

class Sql : public Command {
 public:
  void declare(Arguments& declared) override {
    declared.option("statement", statement_, "one SELECT").required();
    declared.option("--run", run_, "also attach this run's run.db as schema `run`");
    declared.footer(
        "Tables and views: docs/formats/tracker.md. points(RUN, METRIC) gives decoded points.\n\n"
        "Examples:\n"
        "  exp sql \"SELECT name, status, COUNT(*) FROM run GROUP BY name, status\"\n"
        "  exp sql \"SELECT step, value FROM points('last', 'train.train.loss') ORDER BY value "
        "LIMIT 5\"\n"
        "  exp sql --run last \"SELECT * FROM run.metrics\"\n");
  }

  int run(Session& session) override {
    const tracker::SqlTable table = tracker::run_sql(tracker_folder(session), statement_, run_);
    if (session.json) {
      auto out = nlohmann::ordered_json::array();
      for (const auto& row : table.rows) {
        nlohmann::ordered_json object = nlohmann::ordered_json::object();
        for (size_t i = 0; i < row.size(); ++i) {
          object[table.columns[i]] =
              row[i].null ? nlohmann::ordered_json() : value_json(row[i].value);
        }
        out.push_back(std::move(object));
      }
      fmt::print("{}", dump(out));
      return 0;
    }
    TextTable text{table.columns, {}};
    for (const auto& row : table.rows) {
      auto& line = text.rows.emplace_back();
      for (const auto& cell : row) line.push_back(cell.null ? "" : tracker::to_text(cell.value));
    }
    fmt::print("{}", text.text(200));
    return 0;
  }

 private:
  std::string statement_, run_;
};

}  // namespace

std::unique_ptr<Command> make_sql() { return std::make_unique<Sql>(); }

}  // namespace xp::cli
