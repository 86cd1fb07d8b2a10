#include <chrono>
#include <filesystem>
#include <thread>

#include <sys/ioctl.h>
#include <unistd.h>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/stop.h"
#include "core/cli/arguments.h"
#include "core/cli/command.h"
#include "core/cli/plain_output.h"
#include "core/cli/run_text.h"
#include "tracker/plot.h"
#include "tracker/query.h"

namespace xp::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

std::string bytes_text(int64_t bytes) {
  if (bytes < 10'000) return fmt::format("{} B", bytes);
  if (bytes < 10'000'000) return fmt::format("{} kB", bytes / 1000);
  return fmt::format("{:.1f} MB", static_cast<double>(bytes) * 1e-6);
}

std::string time_or_dash(int64_t time_ns) { return time_ns == 0 ? "-" : utc_text(time_ns); }

std::string head_text(const tracker::RunInfo& run) {
  std::string out = fmt::format("run       {}\n", run.uid);
  const auto line = [&](const char* what, const std::string& text) {
    if (!text.empty()) out += fmt::format("{:<9} {}\n", what, text);
  };
  line("name", run.name);
  line("status",
       fmt::format("{}{}", tracker::text(run.status), run.error.empty() ? "" : ": " + run.error));
  line("where", run.where);
  line("recipe", run.recipe_path);
  line("created", fmt::format("{} ({})", utc_text(run.created_ns), age_text(run.created_ns)));
  line("duration", run_duration(run));
  line("host", run.host);
  line("tags", fmt::format("{}", fmt::join(run.tags, " ")));
  line("sweep", run.sweep);
  line("parent", run.parent);
  line("notes", run.notes);
  return out;
}

std::string stages_text(const tracker::RunDetail& detail) {
  TextTable table{{"stage", "kind", "state", "took", "key"}, {}};
  for (const auto& stage : detail.stages) {
    const bool timed = !stage.reused && stage.ended_ns > 0;
    table.rows.push_back(
        {stage.name, stage.kind, stage.reused ? "cached" : stage.state,
         timed ? duration_text(static_cast<double>(stage.ended_ns - stage.started_ns) * 1e-9) : "",
         stage.key.substr(0, 12)});
  }
  return table.rows.empty() ? "" : "\n" + table.text();
}

std::string metrics_text(const tracker::RunInfo& run) {
  TextTable table{{"metric", "last", "at", "min", "at", "max", "at", "n"}, {}};
  size_t per_class = 0;
  bool reused = false;
  for (const auto& [name, m] : run.metrics) {
    if (name.find('/') != std::string::npos) {
      ++per_class;
      continue;
    }
    const bool one = m.grain == tracker::Grain::kFinal;
    reused = reused || m.reused;
    table.rows.push_back(
        {name + (m.reused ? "*" : ""), short_number(m.last),
         one ? "" : fmt::format("{}", m.last_step), one ? "" : short_number(m.min),
         one ? "" : fmt::format("{}", m.min_step), one ? "" : short_number(m.max),
         one ? "" : fmt::format("{}", m.max_step),
         fmt::format(
             "{}{}", m.n,
             m.nans > 0 ? fmt::format(" ({} nan, first at {})", m.nans, m.first_nan_step) : "")});
  }
  std::string out = table.rows.empty() ? "" : "\n" + table.text();
  if (reused) out += "* of a cached stage, computed by an earlier run\n";
  if (per_class > 0)
    out +=
        fmt::format("and {} per-class values: exp show {} --json\n", per_class, short_uid(run.uid));
  return out;
}

std::string attempts_text(const tracker::RunDetail& detail) {
  TextTable table{{"attempt", "status", "host", "pid", "started", "ended", "exit", "message"}, {}};
  for (const auto& a : detail.attempts) {
    table.rows.push_back({fmt::format("{}", a.number), std::string(tracker::text(a.status)), a.host,
                          fmt::format("{}", a.pid), utc_text(a.started_ns),
                          time_or_dash(a.ended_ns),
                          a.exit_code < 0 ? "-" : fmt::format("{}", a.exit_code), a.error});
  }
  std::string out = table.rows.empty() ? "" : "\n" + table.text();
  for (const auto& a : detail.attempts) {
    for (const tracker::Change& change : a.changes)
      out += fmt::format("attempt {}: {} {} -> {}\n", a.number, change.key,
                         change.was.value_or("(none)"), change.now.value_or("(none)"));
  }
  return out;
}

std::string rest_text(const tracker::RunInfo& run, const tracker::RunDetail& detail) {
  std::string out;
  TextTable artifacts{{"artifact", "kind", "stage", "size", "sha256"}, {}};
  for (const auto& a : detail.artifacts) {
    artifacts.rows.push_back(
        {a.name, a.kind, a.stage, bytes_text(a.bytes), a.sha256.substr(0, 12)});
  }
  if (!artifacts.rows.empty()) out += "\n" + artifacts.text();
  TextTable params{{"parameter", "value", "set by"}, {}};
  for (const auto& [key, value] : run.params) {
    const auto source = detail.sources.find(key);
    const std::string place = source == detail.sources.end() ? "" : source->second;
    if (place != "default") params.rows.push_back({key, tracker::to_text(value), place});
  }
  if (!params.rows.empty()) out += "\n" + params.text();
  for (const auto& event : detail.events) {
    if (event.level != tracker::Level::kInfo) {
      out += fmt::format("\n{} {}: {}", utc_text(event.time_ns), tracker::text(event.level),
                         event.text);
    }
  }
  return out;
}

ordered_json detail_json(const tracker::RunInfo& run, const tracker::RunDetail& detail) {
  ordered_json out = run_json(run);
  out["attempts"] = ordered_json::array();
  for (const auto& a : detail.attempts) {
    auto changes = ordered_json::array();
    for (const tracker::Change& change : a.changes)
      changes.push_back({{"key", change.key},
                         {"was", change.was.value_or("")},
                         {"now", change.now.value_or("")}});
    out["attempts"].push_back({{"number", a.number},
                               {"status", tracker::text(a.status)},
                               {"host", a.host},
                               {"pid", a.pid},
                               {"slurm_job", a.slurm_job},
                               {"started", utc_text(a.started_ns)},
                               {"ended", a.ended_ns == 0 ? "" : utc_text(a.ended_ns)},
                               {"exit_code", a.exit_code},
                               {"error", a.error},
                               {"where", a.where},
                               {"argv", a.argv},
                               {"changes", changes}});
  }
  for (const auto& s : detail.stages) {
    out["stages"].push_back({{"name", s.name},
                             {"kind", s.kind},
                             {"key", s.key},
                             {"folder", s.folder},
                             {"reused", s.reused},
                             {"state", s.state}});
  }
  for (const auto& a : detail.artifacts) {
    out["artifacts"].push_back({{"name", a.name},
                                {"kind", a.kind},
                                {"stage", a.stage},
                                {"step", a.step},
                                {"bytes", a.bytes},
                                {"sha256", a.sha256},
                                {"path", a.path.string()}});
  }
  for (const auto& e : detail.events) {
    out["events"].push_back(
        {{"time", utc_text(e.time_ns)}, {"level", tracker::text(e.level)}, {"text", e.text}});
  }
  out["facts"] = detail.facts;
  out["sources"] = detail.sources;
  out["argv"] = detail.argv;
  out["recipe_toml"] = detail.recipe_toml;
  return out;
}

class Show : public Command {
 public:
  void declare(Arguments& declared) override {
    declared.option("run", run_, "a uid or its end, a name, last, last-1").required();
    declared.option("--plot", plot_, "draw this metric in the terminal");
    declared
        .option("--worst", worst_, "the clips that its evaluations got most wrong, so many each")
        .positive();
    declared.flag("-f,--follow", follow_,
                  "with --plot: draw again as points come, until the run ends");
    declared.footer(
        "Examples:\n"
        "  exp show last\n"
        "  exp show 3F9KQ2ZT --plot train.train.loss -f\n"
        "  exp show last --worst 20\n"
        "  exp show last --json\n");
  }

  int run(Session& session) override {
    tracker::Query query = open_query(session);
    const std::string uid = query.find(run_);
    if (!plot_.empty()) return plot(session, query, uid);
    const tracker::RunInfo info = query.run(uid);
    if (info.status == tracker::Status::kBroken) {
      throw Error(fmt::format("run {} cannot be read: {}", uid, info.error), Exit::kData);
    }
    const tracker::RunDetail detail = query.detail(uid);
    if (worst_ > 0) {
      print_worst(session, info, detail);
      return 0;
    }
    if (session.json) {
      fmt::print("{}", dump(detail_json(info, detail)));
      return 0;
    }
    fmt::print("{}{}{}{}{}\n", head_text(info), stages_text(detail), metrics_text(info),
               attempts_text(detail), rest_text(info, detail));
    return 0;
  }

 private:
  void print_worst(const Session& session, const tracker::RunInfo& info,
                   const tracker::RunDetail& detail) const {
    ordered_json all = ordered_json::object();
    for (const auto& stage : detail.stages) {
      const fs::path file = fs::path(stage.folder) / "worst.json";
      if (!fs::exists(file)) continue;
      ordered_json list = ordered_json::parse(read_file(file));
      if (list.size() > static_cast<size_t>(worst_)) list.erase(list.begin() + worst_, list.end());
      all[stage.name] = std::move(list);
    }
    if (all.empty())
      throw Error(fmt::format("no finished evaluation of run {} is in the cache any more",
                              short_uid(info.uid)),
                  Exit::kData);
    if (session.json) {
      fmt::print("{}", dump(all));
      return;
    }
    std::string out;
    for (const auto& [stage, list] : all.items()) {
      TextTable table{{"loss", "clip", "labels", "taken for"}, {}};
      for (const auto& clip : list) {
        std::vector<std::string> guesses;
        for (const auto& guess : clip["guesses"])
          if (guesses.size() < 2)
            guesses.push_back(fmt::format("{} {:.2f}", guess["name"].get<std::string>(),
                                          guess["probability"].get<double>()));
        table.rows.push_back(
            {fmt::format("{:.4f}", clip["loss"].get<double>()), clip["id"].get<std::string>(),
             fmt::format("{}", fmt::join(clip["labels"].get<std::vector<std::string>>(), ", ")),
             fmt::format("{}", fmt::join(guesses, ", "))});
      }
      out += fmt::format("{}{}\n{}", out.empty() ? "" : "\n", stage, table.text());
    }
    fmt::print("{}", out);
  }

  int plot(const Session& session, tracker::Query& query, const std::string& uid) const {
    check_metric(query, uid);
    if (session.json) {
      const tracker::Curve curve = query.curve(uid, plot_);
      ordered_json out = {{"run", uid},
                          {"metric", plot_},
                          {"unit", tracker::text(curve.unit)},
                          {"grain", tracker::text(curve.grain)},
                          {"reused", curve.reused},
                          {"step", ordered_json::array()},
                          {"value", ordered_json::array()}};
      for (const auto& point : curve.points) {
        out["step"].push_back(point.step);
        out["value"].push_back(number_json(point.value));
      }
      fmt::print("{}", dump(out));
      return 0;
    }
    const bool terminal = ::isatty(STDOUT_FILENO) != 0;
    while (true) {
      query.refresh();
      const bool live = query.run(uid).status == tracker::Status::kRunning;
      winsize size{};
      const bool known =
          terminal && ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20;
      const int width = known ? size.ws_col : 80;
      const int height = known ? std::min<int>(size.ws_row - 5, 24) : 16;
      const std::string picture =
          tracker::draw_curve(query.curve(uid, plot_), width, std::max(height, 4));
      if (follow_ && terminal) print_control("\x1b[H\x1b[2J");
      fmt::print("{}", picture);
      std::fflush(stdout);
      if (!follow_ || !live || stop_requested() != StopReason::kNone) return 0;
      std::this_thread::sleep_for(std::chrono::seconds(1));
    }
  }

  void check_metric(tracker::Query& query, const std::string& uid) const {
    std::vector<std::string> names;
    for (const auto& [name, ranks] : query.metric_names(uid)) names.push_back(name);
    if (std::find(names.begin(), names.end(), plot_) != names.end()) return;
    const std::string guess = nearest(plot_, names);
    throw Error(fmt::format("run {} has no metric '{}'{}", short_uid(uid), plot_,
                            guess.empty() ? names.empty()
                                                ? "; it has logged none yet"
                                                : fmt::format("; it has {}", fmt::join(names, ", "))
                                          : fmt::format("; did you mean '{}'?", guess)));
  }

  std::string run_, plot_;
  int64_t worst_ = 0;
  bool follow_ = false;
};

}  // namespace

std::unique_ptr<Command> make_show() { return std::make_unique<Show>(); }

}  // namespace xp::cli
