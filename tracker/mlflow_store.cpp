#include "tracker/mlflow_store.h"

#include <cctype>
#include <cmath>
#include <fstream>

#include <fmt/format.h>

#include "core/base/digest.h"
#include "core/base/error.h"

namespace xp::tracker {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kNsPerMs = 1'000'000;

void write(const fs::path& file, const std::string& text) {
  fs::create_directories(file.parent_path());
  std::ofstream out(file, std::ios::binary);
  out << text;
  out.close();
  if (!out) throw Error(fmt::format("cannot write {}", file.string()), Exit::kFailed);
}

/// A YAML scalar: JSON's strings are YAML's too.
std::string yaml(const std::string& text) { return to_json(Value(text)); }

// RunStatus of MLflow's service.proto.
int status_number(Status status) {
  switch (status) {
    case Status::kRunning:
      return 1;
    case Status::kQueued:
      return 2;
    case Status::kDone:
      return 3;
    case Status::kFailed:
    case Status::kBroken:
      return 4;
    default:
      return 5;  // KILLED: interrupted, preempted, lost
  }
}

}  // namespace

std::string mlflow_name(const std::string& name) {
  std::string out = name;
  for (char& c : out) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 &&
        std::string("_-. /").find(c) == std::string::npos)
      c = '_';
  }
  // A name must be a plain relative path.
  if (out.empty() || out.front() == '/' || out.find("..") != std::string::npos ||
      out.find("//") != std::string::npos) {
    for (char& c : out) {
      if (c == '/') c = '_';
    }
    for (size_t at; (at = out.find("..")) != std::string::npos;) out[at] = '_';
  }
  return out.empty() ? "_" : out;
}

std::string MlflowStore::experiment(const std::string& name, int64_t created_ms) {
  const auto at = experiments_.find(name);
  if (at != experiments_.end()) return at->second;
  // MLflow's ids are digits.
  const std::string id = fmt::format("{}", 100000 + experiments_.size());
  experiments_.emplace(name, id);
  write(folder_ / id / "meta.yaml",
        fmt::format(
            "artifact_location: {}\ncreation_time: {}\nexperiment_id: '{}'\nlast_update_time: {}\n"
            "lifecycle_stage: active\nname: {}\n",
            yaml("file:" + fs::absolute(folder_ / id).string()), created_ms, id, created_ms,
            yaml(name)));
  return id;
}

void MlflowStore::begin(const RunInfo& run) {
  const std::string name = run.name.empty() ? "exp" : run.name;
  const std::string experiment_id = experiment(name, run.created_ns / kNsPerMs);
  const std::string run_id = sha256(run.uid).substr(0, 32);
  run_ = folder_ / experiment_id / run_id;
  write(run_ / "meta.yaml",
        fmt::format("artifact_uri: {}\nend_time: {}\nentry_point_name: ''\nexperiment_id: "
                    "'{}'\nlifecycle_stage: active\n"
                    "run_id: {}\nrun_name: {}\nsource_name: ''\nsource_type: 4\nsource_version: "
                    "''\nstart_time: {}\n"
                    "status: {}\ntags: []\nuser_id: exp\n",
                    yaml("file:" + fs::absolute(run_ / "artifacts").string()),
                    run.ended_ns == 0 ? "null" : fmt::format("{}", run.ended_ns / kNsPerMs),
                    experiment_id, yaml(run_id), yaml(run.uid), run.created_ns / kNsPerMs,
                    status_number(run.status)));
  fs::create_directories(run_ / "artifacts");
  fs::create_directories(run_ / "metrics");
  for (const auto& [key, value] : run.params)
    write(run_ / "params" / mlflow_name(key), to_text(value));
  write(run_ / "tags" / "mlflow.runName", run.uid);
  write(run_ / "tags" / "exp.uid", run.uid);
  write(run_ / "tags" / "exp.status", std::string(text(run.status)));
  if (!run.notes.empty()) write(run_ / "tags" / "mlflow.note.content", run.notes);
  if (!run.sweep.empty()) write(run_ / "tags" / "exp.sweep", run.sweep);
  for (const std::string& tag : run.tags)
    write(run_ / "tags" / mlflow_name("exp.tag." + tag), "true");
}

void MlflowStore::metric(const Curve& curve, int rank) {
  std::string lines;
  for (const Point& point : curve.points) {
    lines += fmt::format("{} {} {}\n", point.time_ns / kNsPerMs, to_text(Value(point.value)),
                         point.step);
  }
  const std::string name = rank == 0 ? curve.metric : fmt::format("{}.rank{}", curve.metric, rank);
  write(run_ / "metrics" / mlflow_name(name), lines);
}

}  // namespace xp::tracker
