#include "tracker/export.h"

#include <algorithm>
#include <array>
#include <fstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/files.h"
#include "tracker/event_file.h"
#include "tracker/mlflow_store.h"

namespace xp::tracker {
namespace fs = std::filesystem;
namespace {

constexpr std::array<std::string_view, 4> kNames = {"csv", "jsonl", "tb", "mlflow"};

class Output {
 public:
  explicit Output(const fs::path& file) : file_(file), out_(file_.path(), std::ios::binary) {}
  void line(const std::string& text) { out_ << text << '\n'; }
  void close() {
    out_.close();
    if (!out_) throw Error(fmt::format("cannot write {}", file_.path().string()), Exit::kFailed);
    file_.commit();
  }

 private:
  AtomicFile file_;
  std::ofstream out_;
};

/// RFC 4180: quotes where needed, doubled inside.
std::string csv(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + "\"";
}

template <class Each>
size_t each_curve(Query& query, const RunInfo& run, const Each& each) {
  size_t points = 0;
  for (const auto& [name, ranks] : query.metric_names(run.uid)) {
    for (const int rank : ranks) {
      const Curve curve = query.curve(run.uid, name, rank);
      points += curve.points.size();
      each(curve, rank);
    }
  }
  return points;
}

Exported export_csv(Query& query, const std::vector<RunInfo>& runs, const fs::path& folder) {
  std::map<std::string, bool> params, metrics;
  for (const RunInfo& run : runs) {
    for (const auto& [key, value] : run.params) params[key] = true;
    for (const auto& [name, metric] : run.metrics) metrics[name] = true;
  }
  Output table(folder / "runs.csv"), points(folder / "points.csv");
  std::string head = "uid,name,status,created,ended,attempts,host,tags,sweep,parent";
  for (const auto& [key, yes] : params) head += "," + csv(key);
  for (const auto& [name, yes] : metrics) head += "," + csv(name);
  table.line(head);
  points.line("uid,metric,rank,step,time_ns,attempt,value");
  Exported out;
  for (const RunInfo& run : runs) {
    std::string tags;
    for (const std::string& tag : run.tags) tags += (tags.empty() ? "" : " ") + tag;
    std::string line =
        fmt::format("{},{},{},{},{},{},{},{},{},{}", run.uid, csv(run.name), text(run.status),
                    utc_text(run.created_ns), run.ended_ns == 0 ? "" : utc_text(run.ended_ns),
                    run.attempts, csv(run.host), csv(tags), run.sweep, run.parent);
    for (const auto& [key, yes] : params) {
      const auto at = run.params.find(key);
      line += "," + (at == run.params.end() ? "" : csv(to_text(at->second)));
    }
    for (const auto& [name, yes] : metrics) {
      const auto at = run.metrics.find(name);
      line += "," + (at == run.metrics.end() ? "" : to_text(Value(at->second.last)));
    }
    table.line(line);
    out.points += each_curve(query, run, [&](const Curve& curve, int rank) {
      for (const Point& p : curve.points) {
        points.line(fmt::format("{},{},{},{},{},{},{}", run.uid, csv(curve.metric), rank, p.step,
                                p.time_ns, p.attempt, to_text(Value(p.value))));
      }
    });
    ++out.runs;
  }
  table.close();
  points.close();
  return out;
}

Exported export_jsonl(Query& query, const std::vector<RunInfo>& runs, const fs::path& folder) {
  const auto quoted = [](const std::string& text) { return to_json(Value(text)); };
  Output table(folder / "runs.jsonl"), points(folder / "points.jsonl");
  Exported out;
  for (const RunInfo& run : runs) {
    std::string params, metrics;
    for (const auto& [key, value] : run.params) {
      params += fmt::format("{}{}:{}", params.empty() ? "" : ",", quoted(key), to_json(value));
    }
    for (const auto& [name, metric] : run.metrics) {
      metrics += fmt::format("{}{}:{}", metrics.empty() ? "" : ",", quoted(name),
                             to_json(Value(metric.last)));
    }
    table.line(fmt::format(
        R"({{"uid":{},"name":{},"status":{},"created_ns":{},"ended_ns":{},"attempts":{},"host":{},)"
        R"("tags":{},"notes":{},"sweep":{},"parent":{},"params":{{{}}},"metrics":{{{}}}}})",
        quoted(run.uid), quoted(run.name), quoted(std::string(text(run.status))), run.created_ns,
        run.ended_ns, run.attempts, quoted(run.host), nlohmann::json(run.tags).dump(),
        quoted(run.notes), quoted(run.sweep), quoted(run.parent), params, metrics));
    out.points += each_curve(query, run, [&](const Curve& curve, int rank) {
      const std::string name = quoted(curve.metric);
      for (const Point& p : curve.points) {
        points.line(fmt::format(
            R"({{"uid":{},"metric":{},"rank":{},"step":{},"time_ns":{},"attempt":{},"value":{}}})",
            quoted(run.uid), name, rank, p.step, p.time_ns, p.attempt, to_json(Value(p.value))));
      }
    });
    ++out.runs;
  }
  table.close();
  points.close();
  return out;
}

Exported export_tensorboard(Query& query, const std::vector<RunInfo>& runs,
                            const fs::path& folder) {
  Exported out;
  for (const RunInfo& run : runs) {
    std::string name = run.name.empty() ? "run" : run.name;
    std::replace(name.begin(), name.end(), '/', '_');  // a name is no path
    const fs::path place = folder / fmt::format("{}-{}", name, run.uid);
    fs::create_directories(place);
    const int64_t second = run.created_ns / 1'000'000'000;
    EventFile events(place / fmt::format("events.out.tfevents.{:010}.{}", second,
                                         run.host.empty() ? "host" : run.host),
                     run.created_ns);
    std::string config = "| key | value |\n| --- | --- |\n";
    for (const auto& [key, value] : run.params)
      config += fmt::format("| {} | {} |\n", key, to_text(value));
    events.text("config", config, run.created_ns);
    out.points += each_curve(query, run, [&](const Curve& curve, int rank) {
      const std::string tag =
          rank == 0 ? curve.metric : fmt::format("{}/rank{}", curve.metric, rank);
      for (const Point& p : curve.points) events.scalar(tag, p.step, p.value, p.time_ns);
    });
    events.close();
    ++out.runs;
  }
  return out;
}

Exported export_mlflow(Query& query, const std::vector<RunInfo>& runs, const fs::path& folder) {
  MlflowStore store(folder);
  Exported out;
  for (const RunInfo& run : runs) {
    store.begin(run);
    out.points +=
        each_curve(query, run, [&](const Curve& curve, int rank) { store.metric(curve, rank); });
    ++out.runs;
  }
  store.close();
  return out;
}

}  // namespace

ExportFormat export_format(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<ExportFormat>(i);
  }
  const std::string guess = nearest(name, kNames);
  throw Error(fmt::format(
      "there is no format '{}'{}", name,
      guess.empty() ? ": csv, jsonl, tb, mlflow" : fmt::format("; did you mean '{}'?", guess)));
}

Exported export_runs(Query& query, const std::vector<RunInfo>& runs, ExportFormat format,
                     const fs::path& folder) {
  std::error_code none;
  if (fs::exists(folder, none) && !fs::is_empty(folder, none)) {
    throw Error(fmt::format("{} is not empty: give a new folder", folder.string()));
  }
  try {
    fs::create_directories(folder);
    switch (format) {
      case ExportFormat::kCsv:
        return export_csv(query, runs, folder);
      case ExportFormat::kJsonl:
        return export_jsonl(query, runs, folder);
      case ExportFormat::kTensorBoard:
        return export_tensorboard(query, runs, folder);
      case ExportFormat::kMlflow:
        return export_mlflow(query, runs, folder);
    }
  } catch (const fs::filesystem_error& error) {
    throw Error(fmt::format("cannot write {}: {}", folder.string(), error.code().message()),
                Exit::kFailed);
  }
  return {};
}

}  // namespace xp::tracker
