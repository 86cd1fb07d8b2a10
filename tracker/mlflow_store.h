#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "tracker/query.h"

namespace xp::tracker {

/// Writes MLflow's file store: FOLDER/EXPERIMENT_ID/{meta.yaml, RUN_ID/{meta.yaml, params/,
/// metrics/, tags/}}. Runs of one name are one experiment. MLflow reads it with
/// MLFLOW_TRACKING_URI=file:FOLDER.
class MlflowStore {
 public:
  explicit MlflowStore(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// The run that the next metrics belong to.
  void begin(const RunInfo& run);
  void metric(const Curve& curve, int rank);

 private:
  std::string experiment(const std::string& name, int64_t created_ms);

  std::filesystem::path folder_, run_;
  std::map<std::string, std::string> experiments_;  ///< name -> id
};

/// A metric or parameter name as MLflow allows it: letters, digits, _ - . space and /; others
/// become _.
std::string mlflow_name(const std::string& name);

}  // namespace xp::tracker
