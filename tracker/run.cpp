#include <unistd.h>

#include <fmt/format.h>

#include "core/base/clock.h"
#include "core/base/files.h"
#include "core/base/log.h"
#include "tracker/capture.h"
#include "tracker/inbox.h"
#include "tracker/make_run.h"
#include "tracker/objects.h"
#include "tracker/provenance.h"
#include "tracker/run_db.h"
#include "tracker/schema.h"
#include "tracker/store.h"
#include "tracker/system.h"
#include "tracker/writer.h"

namespace xp::tracker {
namespace fs = std::filesystem;
namespace {

/// Says what went wrong in tracking where nothing may be thrown.
void complain(const std::exception& error) noexcept {
  try {
    log::warn("tracking: {}", error.what());
  } catch (...) {
    // No memory for the line itself.
  }
}

/// The ids of one ring's metrics, by stage and name.
class Names {
 public:
  MetricId id(Ring& ring, std::string_view stage, std::string_view name, Unit unit, Grain grain) {
    const std::string full = ring_name(stage, name);
    const std::lock_guard lock(mutex_);
    if (const auto at = ids_.find(full); at != ids_.end()) return at->second;
    const auto index = ring.declare(full, unit, grain);
    if (!index)
      log::warn("tracking: there is no room for the name of metric '{}': its points are lost",
                name);
    const MetricId id = index ? MetricId{*index} : kNowhere;
    ids_.emplace(full, id);
    return id;
  }

  static constexpr MetricId kNowhere{~0u};

 private:
  std::mutex mutex_;
  std::map<std::string, MetricId, std::less<>> ids_;
};

class RunImpl;

class StageSink final : public RunSink {
 public:
  StageSink(RunImpl& run, std::string stage) : run_(run), stage_(std::move(stage)) {}
  using RunSink::metric;
  MetricId metric(std::string_view name, Unit unit, Grain grain) override;
  void log(MetricId metric, int64_t step, double value) noexcept override;
  void resumed(int64_t step, int64_t epoch) override;
  void artifact(Kind kind, const fs::path& file, int64_t step) override;
  void event(Level level, std::string_view text) noexcept override;
  void finished(Outcome outcome, std::string_view reason) override;

 private:
  RunImpl& run_;
  const std::string stage_;
};

class RunImpl final : public Run {
 public:
  RunImpl(fs::path workspace, std::string uid, const NewRun& run, const RunOptions& options,
          Writer::Start start)
      : workspace_(std::move(workspace)),
        uid_(std::move(uid)),
        folder_(workspace_ / "runs" / uid_),
        created_ns_(timeline_ns()),
        writer_(folder_, uid_, run, options, start) {
    if (options.capture) {
      try {
        capture_ = std::make_unique<Capture>(folder_ / "files", 0);
      } catch (const Error& error) {
        complain(error);
      }
    }
    if (options.provenance) record_provenance(options);
    if (options.system.count() > 0)
      system_ = std::make_unique<SystemSampler>(*this, created_ns_, options.system);
  }

  ~RunImpl() override {
    system_.reset();
    writer_.close(nullptr);
  }

  using RunSink::metric;
  MetricId metric(std::string_view name, Unit unit, Grain grain) override {
    return metric_of("", name, unit, grain);
  }
  MetricId metric_of(std::string_view stage, std::string_view name, Unit unit, Grain grain) {
    return names_.id(writer_.ring(), stage, name, unit, grain);
  }

  void log(MetricId metric, int64_t step, double value) noexcept override {
    if (metric == Names::kNowhere || closed_.load(std::memory_order_relaxed))
      return writer_.count_dropped();
    const RingPoint point{step, value, timeline_ns(), static_cast<uint32_t>(metric)};
    Ring& ring = writer_.ring();
    if (!ring.push(point)) return writer_.keep(point);
    if ((ring.head() & kWakeMask) == 0) writer_.wake();
  }

  void resumed(int64_t step, int64_t epoch) override { resume_stage("", step, epoch); }
  void artifact(Kind kind, const fs::path& file, int64_t step) override {
    keep_artifact("", kind, file, step);
  }

  void event(Level level, std::string_view text) noexcept override {
    try {
      writer_.post([this, level, line = std::string(text), now = timeline_ns()](Session& s) {
        s.db.prepare("INSERT INTO event(attempt, t_ns, level, text) VALUES(?,?,?,?)")
            .run(attempt(), now, tracker::text(level), line);
      });
    } catch (const std::exception& error) {
      complain(error);
    }
  }

  void finished(Outcome outcome, std::string_view reason) override {
    finish(outcome, reason, "", outcome == Outcome::kDone ? 0 : 1);
  }

  const std::string& uid() const override { return uid_; }
  const fs::path& folder() const override { return folder_; }
  int attempt() const override { return writer_.attempt(); }
  bool stop_requested() const noexcept override { return writer_.stop_requested(); }
  void flush() override { writer_.flush(); }
  Losses losses() const override { return writer_.losses(); }

  std::unique_ptr<RunSink> begin_stage(std::string_view name, std::string_view kind,
                                       std::string_view key, const fs::path& folder) override;
  void publish_stage(std::string_view name, const fs::path& folder) override;
  void attach_stage(std::string_view name, std::string_view kind, std::string_view key,
                    const fs::path& folder, const std::map<std::string, double>& reported) override;
  void note_fact(std::string_view key, std::string_view value) override {
    writer_.post(
        [k = std::string(key), v = std::string(value)](Session& s) { set_fact(s.db, k, v); });
  }
  void finish(Outcome outcome, std::string_view message, std::string_view where,
              int exit_code) override;

  void resume_stage(const std::string& stage, int64_t step, int64_t epoch);
  void keep_artifact(const std::string& stage, Kind kind, const fs::path& file, int64_t step);
  void end_stage(const std::string& stage, Outcome outcome, std::string_view reason);

 private:
  static constexpr uint64_t kWakeMask = Ring::kCapacity / 8 - 1;

  void record_provenance(const RunOptions& options);
  std::string relative(const fs::path& folder) const {
    if (folder.empty()) return "";
    const fs::path at = fs::absolute(folder).lexically_normal();
    const fs::path inside = at.lexically_relative(fs::absolute(workspace_).lexically_normal());
    return inside.empty() || *inside.begin() == ".." ? at.string() : inside.string();
  }

  const fs::path workspace_;
  const std::string uid_;
  const fs::path folder_;
  const int64_t created_ns_;
  Names names_;
  std::atomic<bool> closed_{false};
  Writer writer_;
  std::unique_ptr<Capture> capture_;
  std::unique_ptr<SystemSampler> system_;
};

MetricId StageSink::metric(std::string_view name, Unit unit, Grain grain) {
  return run_.metric_of(stage_, name, unit, grain);
}
void StageSink::log(MetricId metric, int64_t step, double value) noexcept {
  run_.log(metric, step, value);
}
void StageSink::resumed(int64_t step, int64_t epoch) { run_.resume_stage(stage_, step, epoch); }
void StageSink::artifact(Kind kind, const fs::path& file, int64_t step) {
  run_.keep_artifact(stage_, kind, file, step);
}
void StageSink::event(Level level, std::string_view text) noexcept { run_.event(level, text); }
void StageSink::finished(Outcome outcome, std::string_view reason) {
  run_.end_stage(stage_, outcome, reason);
}

void RunImpl::record_provenance(const RunOptions& options) {
  try {
    Provenance facts =
        collect_provenance(options.source.empty() ? fs::current_path() : options.source);
    add_versions(facts, options.versions);
    if (!facts.source.applies)
      event(Level::kWarning, fmt::format("the changes of {} do not apply to commit {} again: `exp "
                                         "reproduce` cannot build this tree",
                                         facts.source.root.string(), facts.source.commit));
    if (writer_.losses().error.empty())
      save_source_state(facts.source, folder_ / "files" / "source");
    writer_.post([all = std::move(facts.facts)](Session& s) {
      for (const auto& [key, value] : all) set_fact(s.db, key, value);
    });
  } catch (const std::exception& error) {
    event(Level::kWarning,
          fmt::format("the state of the source was not recorded: {}", error.what()));
  }
}

void set_cut(Session& session, int attempt, const std::string& stage, int64_t step, int64_t epoch) {
  session.db
      .prepare(
          "INSERT INTO cut(attempt, stage, step, epoch) VALUES(?,?,?,?) "
          "ON CONFLICT(stage, attempt) DO UPDATE SET step=excluded.step, epoch=excluded.epoch")
      .run(attempt, stage, step, epoch);
  session.series.summarise(stage, read_cuts(session.db));
}

/// Which run worked on a stage's folder last: "ULID stage-name", one line.
constexpr const char* kCurvesFrom = "curves.from";

void take_over(Session& session, const fs::path& runs, const fs::path& marker,
               const std::string& uid, const std::string& stage) {
  std::error_code none;
  if (!fs::exists(marker, none)) return;
  const std::string line = read_file(marker);
  const size_t space = line.find(' ');
  const std::string other = line.substr(0, space);
  if (other == uid || space == std::string::npos || !fs::exists(runs / other / "run.db", none))
    return;
  if (auto lock = lock_unwritten(runs / other)) recover(runs / other);
  const sql::Database from = sql::Database::read(runs / other / "run.db", kRunSchema);
  import_stage(session.db, session.series, from,
               line.substr(space + 1, line.find('\n') - space - 1), stage);
}

std::unique_ptr<RunSink> RunImpl::begin_stage(std::string_view name, std::string_view kind,
                                              std::string_view key, const fs::path& folder) {
  const std::string stage(name);
  writer_.post([this, stage, kind = std::string(kind), key = std::string(key), folder,
                now = timeline_ns()](Session& s) {
    s.db.prepare(
            "INSERT INTO stage(name, kind, key, folder, reused, attempt, state, started_ns) "
            "VALUES(?,?,?,?,0,?,'running',?) "
            "ON CONFLICT(name) DO UPDATE SET kind=excluded.kind, key=excluded.key, "
            "folder=excluded.folder, reused=0, "
            "attempt=excluded.attempt, state='running', message='', "
            "started_ns=excluded.started_ns, ended_ns=NULL")
        .run(stage, kind, key, relative(folder), attempt(), now);
    if (!folder.empty()) take_over(s, workspace_ / "runs", folder / kCurvesFrom, uid_, stage);
    set_cut(s, attempt(), stage, -1, -1);
    std::error_code none;
    if (fs::is_directory(folder, none))
      write_file_atomic(folder / kCurvesFrom, uid_ + " " + stage + "\n");
  });
  return std::make_unique<StageSink>(*this, stage);
}

void RunImpl::resume_stage(const std::string& stage, int64_t step, int64_t epoch) {
  writer_.post(
      [this, stage, step, epoch](Session& s) { set_cut(s, attempt(), stage, step, epoch); });
}

void RunImpl::keep_artifact(const std::string& stage, Kind kind, const fs::path& file,
                            int64_t step) {
  StoredObject object;
  try {
    object = store_object(workspace_, file);
  } catch (const Error& error) {
    if (error.code() == Exit::kData) throw;
    event(Level::kError, error.message());
    return;
  }
  writer_.post([this, stage, kind, name = file.filename().string(), object, step,
                now = timeline_ns()](Session& s) {
    s.db.prepare(
            "INSERT INTO artifact(name, kind, sha256, bytes, stage, step, attempt, t_ns) "
            "VALUES(?,?,?,?,?,?,?,?)")
        .run(name, text(kind), object.sha256, object.bytes, stage, step, attempt(), now);
  });
}

void RunImpl::end_stage(const std::string& stage, Outcome outcome, std::string_view reason) {
  writer_.post([stage, outcome, why = std::string(reason), now = timeline_ns()](Session& s) {
    s.db.prepare("UPDATE stage SET state=?, message=?, ended_ns=? WHERE name=?")
        .run(text(outcome), why, now, stage);
  });
}

void RunImpl::publish_stage(std::string_view name, const fs::path& folder) {
  try {
    writer_.flush();
    writer_.call([stage = std::string(name), folder](Session& s) {
      write_curves(s.db, stage, folder / "curves.db");
      std::error_code ignored;
      fs::remove(folder / kCurvesFrom, ignored);
    });
  } catch (const std::exception& error) {
    event(Level::kError, fmt::format("the curves of stage {} were not kept with its output: {}",
                                     name, error.what()));
  }
}

void RunImpl::attach_stage(std::string_view name, std::string_view kind, std::string_view key,
                           const fs::path& folder, const std::map<std::string, double>& reported) {
  writer_.post([this, stage = std::string(name), kind = std::string(kind), key = std::string(key),
                folder, reported, now = timeline_ns()](Session& s) {
    auto had =
        s.db.prepare("SELECT 1 FROM stage WHERE name=? AND key=? AND reused=0 AND state='done'");
    if (had.query(stage, key).step()) {
      // This run computed it, now or in an earlier attempt: its curves are here; only its place is
      // news.
      had.reset();
      s.db.prepare("UPDATE stage SET folder=? WHERE name=?").run(relative(folder), stage);
      return;
    }
    s.db.prepare(
            "INSERT INTO stage(name, kind, key, folder, reused, attempt, state, started_ns, "
            "ended_ns) "
            "VALUES(?,?,?,?,1,?,'done',?,?) ON CONFLICT(name) DO UPDATE SET kind=excluded.kind, "
            "key=excluded.key, "
            "folder=excluded.folder, reused=1, attempt=excluded.attempt, state='done', "
            "ended_ns=excluded.ended_ns")
        .run(stage, kind, key, relative(folder), attempt(), now, now);
    if (!attach_curves(s.db, s.series, stage, folder / "curves.db"))
      attach_values(s.db, s.series, stage, reported);
  });
}

void RunImpl::finish(Outcome outcome, std::string_view message, std::string_view where,
                     int exit_code) {
  if (closed_.exchange(true)) return;
  system_.reset();
  writer_.close([&](Session& s) {
    set_fact(s.db, "tracker.writer_cpu_s", fmt::format("{:.6f}", writer_.cpu_seconds()));
    end_attempt(s.db, attempt(), text(outcome), message, where, exit_code, writer_.dropped());
  });
}

/// Another rank's process: a ring of its own, nothing else.
class RankSink final : public RunSink {
 public:
  RankSink(fs::path run_folder, int rank, std::string stage)
      : folder_(std::move(run_folder)), stage_(std::move(stage)) {
    try {
      const auto first = Ring::open(folder_ / "ring", false);
      ring_ = Ring::create(folder_ / fmt::format("ring.{}.{}", rank, make_ulid()),
                           first ? first->attempt() : 1, rank);
    } catch (const Error& error) {
      complain(error);
      ring_ = Ring::anonymous(1, rank);
    }
  }

  ~RankSink() override {
    if (lost_ > 0) log::warn("tracking: {} points of this rank are lost", lost_.load());
  }

  using RunSink::metric;
  MetricId metric(std::string_view name, Unit unit, Grain grain) override {
    return names_.id(*ring_, stage_, name, unit, grain);
  }
  void log(MetricId metric, int64_t step, double value) noexcept override {
    const bool kept = metric != Names::kNowhere && ring_->in_file() &&
                      ring_->push({step, value, timeline_ns(), static_cast<uint32_t>(metric)});
    if (!kept) lost_.fetch_add(1, std::memory_order_relaxed);
  }
  void resumed(int64_t, int64_t) override {}  // rank 0 says it for all
  void artifact(Kind, const fs::path& file, int64_t) override {
    throw Error(fmt::format("{}: artifacts are kept by rank 0 alone", file.string()),
                Exit::kInternal);
  }
  void event(Level level, std::string_view text) noexcept override {
    try {
      Request request;
      request.action = "event";
      request.level = level;
      request.text = std::string(text);
      send(folder_, std::move(request));
    } catch (const std::exception& error) {
      complain(error);
    }
  }
  void finished(Outcome, std::string_view) override {}

 private:
  const fs::path folder_;
  const std::string stage_;
  std::unique_ptr<Ring> ring_;
  Names names_;
  std::atomic<uint64_t> lost_{0};
};

}  // namespace

std::unique_ptr<Run> make_run(fs::path workspace, std::string uid, const NewRun& run,
                              const RunOptions& options, bool resume) {
  return std::make_unique<RunImpl>(std::move(workspace), std::move(uid), run, options,
                                   resume ? Writer::Start::kResume : Writer::Start::kCreate);
}

std::unique_ptr<RunSink> open_rank_sink(const fs::path& run_folder, int rank,
                                        std::string_view stage) {
  return std::make_unique<RankSink>(run_folder, rank, std::string(stage));
}

}  // namespace xp::tracker
