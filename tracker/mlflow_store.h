#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "tracker/query.h"

namespace xp::tracker {

/// Writes MLflow's SQL store: FOLDER/mlflow.db, SQLite, in the schema that MLflow had at revision
/// 181f10493468 of its migrations; it brings that up to date by itself when it opens the file. Runs
/// of one name are one experiment. `mlflow server --backend-store-uri sqlite:///FOLDER/mlflow.db`.
class MlflowStore {
 public:
  /// Throws Error when the file cannot be made.
  explicit MlflowStore(std::filesystem::path folder);
  ~MlflowStore();

  /// The run that the next metrics belong to.
  void begin(const RunInfo& run);
  void metric(const Curve& curve, int rank);
  /// The file is there from now on.
  void close();

 private:
  struct Open;

  int64_t experiment(const std::string& name);

  std::filesystem::path folder_;
  std::string run_;
  std::map<std::string, int64_t> experiments_;  ///< name -> id
  std::unique_ptr<Open> open_;
};

/// A metric or parameter name as MLflow allows it: letters, digits, _ - . space and /; others
/// become _.
std::string mlflow_name(const std::string& name);

}  // namespace xp::tracker
