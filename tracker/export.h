#pragma once

#include <cstddef>
#include <filesystem>
#include <string_view>
#include <vector>

#include "tracker/query.h"

namespace xp::tracker {

/// What other programs read.
enum class ExportFormat {
  kCsv,    ///< runs.csv (one line a run: fields, params, final metrics), points.csv (run, metric,
           ///< step, time, value)
  kJsonl,  ///< runs.jsonl and points.jsonl: one JSON object a line
  kTensorBoard,  ///< RUN/events.out.tfevents.*: scalars and hyper-parameters as text
  kMlflow,       ///< MLflow's file store: mlruns/ to be opened with `mlflow ui --backend-store-uri`
};

/// "csv", "jsonl", "tb", "mlflow". Throws Error with a guess for another word.
ExportFormat export_format(std::string_view name);

struct Exported {
  size_t runs = 0, points = 0;
};

/// Writes the runs with all shown points into `folder`, which is made. Values are exact: 17 digits
/// where needed, NaN and infinities as each format has them. Throws Error (kUsage) when the folder
/// holds something already, (kFailed) when it cannot be written.
Exported export_runs(Query& query, const std::vector<RunInfo>& runs, ExportFormat format,
                     const std::filesystem::path& folder);

}  // namespace xp::tracker
