#include "sweeps/drive.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <memory>
#include <set>
#include <thread>

#include <fmt/format.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/base/progress.h"
#include "sweeps/pareto.h"
#include "sweeps/propose.h"

namespace xp::sweeps {
namespace {

constexpr int64_t kReclaimNs = 1'000'000'000;
constexpr int64_t kSoonNs = 250'000'000;

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

bool has_ended(TrialState state) {
  return state != TrialState::kQueued && state != TrialState::kRunning;
}

class Driver {
 public:
  Driver(SweepDb& db, Executor& executor, const DriveOptions& options)
      : db_(db), executor_(executor), options_(options), spec_(db.spec()) {
    for (const Trial& trial : db.trials(true)) states_[trial.number] = {trial.state, trial.tries};
  }

  Driven run() {
    Driven out;
    while (true) {
      const bool stopping = out.stopped != StopReason::kNone;
      if (!stopping && stop_requested() != StopReason::kNone) {
        out.stopped = stop_requested();
        executor_.stop(out.stopped);
        if (executor_.outlives_driver()) break;
      }
      look();
      if (!stopping && options_.propose && db_.halted().empty()) options_.propose();
      const Counts counts = db_.counts();
      const bool open = db_.halted().empty();
      const bool more = open && (counts.queued > 0 || proposes_more(db_, spec_));
      if (out.stopped == StopReason::kNone && !more && counts.running == 0 &&
          executor_.active() == 0)
        break;
      if (out.stopped != StopReason::kNone && executor_.active() == 0) break;
      executor_.tick(out.stopped == StopReason::kNone && open ? counts.queued : 0, bundles_);
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    look_at(db_.trials(true));
    bar_.reset();
    out.counts = db_.counts();
    out.halted = db_.halted();
    return out;
  }

 private:
  // Reading a table of a thousand trials costs milliseconds: not at every turn.
  void look() {
    const int64_t now = steady_ns();
    if (now - reclaimed_ > kReclaimNs) {
      reclaimed_ = now;
      const size_t back = db_.reclaim(wall_ns());
      if (back > 0)
        log::warn("{} trial{} given back: the worker is gone", back, back == 1 ? " was" : "s were");
    }
    if (now - looked_ < kSoonNs) return;
    looked_ = now;
    look_at(db_.trials(true));
  }

  void look_at(const std::vector<Trial>& trials) {
    int64_t ended = 0, running = 0, failed = 0;
    std::set<std::string> open;
    for (const Trial& trial : trials) {
      Seen& seen = states_[trial.number];
      if (has_ended(trial.state) && (seen.state != trial.state || seen.tries != trial.tries))
        tell(trial);
      seen = {trial.state, trial.tries};
      ended += has_ended(trial.state) ? 1 : 0;
      running += trial.state == TrialState::kRunning ? 1 : 0;
      failed += trial.state == TrialState::kFailed || trial.state == TrialState::kLost ? 1 : 0;
      if (!has_ended(trial.state)) open.insert(trial.bundle);
    }
    bundles_ = static_cast<int64_t>(open.size());
    draw(trials, ended, running, failed);
  }

  void tell(const Trial& trial) {
    const std::string name = trial_text(trial, spec_.seeds > 1);
    if (trial.state == TrialState::kFailed || trial.state == TrialState::kLost) {
      log::error("trial {} ({}) {}: {}{}", trial.number, name, text(trial.state),
                 first_line(trial.error),
                 trial.run.empty() ? "" : fmt::format("; exp logs {}", trial.run));
      ++failures_;
      const bool over =
          options_.fail_fast || (options_.max_failures > 0 && failures_ >= options_.max_failures);
      if (over && db_.halted().empty()) {
        db_.halt(options_.fail_fast ? "a trial failed (--fail-fast)"
                                    : fmt::format("{} trials failed (max_failures)", failures_),
                 options_.fail_fast);
      }
    } else if (trial.state == TrialState::kStopped) {
      log::info("trial {} ({}) {}", trial.number, name, first_line(trial.error));
    } else {
      log::debug("trial {} ({}) done in {}", trial.number, name, duration_text(trial.seconds));
    }
  }

  void draw(const std::vector<Trial>& trials, int64_t ended, int64_t running, int64_t failed) {
    if (!bar_) {
      const int64_t total = std::max(static_cast<int64_t>(trials.size()),
                                     spec_.strategy == "grid" ? 0 : spec_.trials * spec_.seeds);
      bar_ = std::make_unique<Progress>(
          "sweep " + spec_.id.substr(spec_.id.size() - std::min<size_t>(8, spec_.id.size())), total,
          "trials");
      bar_->start_from(ended);
      drawn_ = ended;
    }
    std::string note = fmt::format("{} running", running);
    if (failed > 0) note += fmt::format(", {} failed", failed);
    const std::string best = best_text(trials, spec_, options_.selected_on_test);
    if (!best.empty()) note += ", " + best;
    for (const Trial& trial : trials) {
      if (trial.state != TrialState::kRunning || trial.doing.empty()) continue;
      note += ", " + trial.doing;
      break;
    }
    bar_->note(note);
    bar_->add(ended - drawn_);
    drawn_ = ended;
  }

  struct Seen {
    TrialState state = TrialState::kQueued;
    int tries = 0;
  };

  SweepDb& db_;
  Executor& executor_;
  const DriveOptions& options_;
  const SweepSpec spec_;
  std::map<int64_t, Seen> states_;
  std::unique_ptr<Progress> bar_;
  int64_t drawn_ = 0, reclaimed_ = 0, looked_ = 0, bundles_ = 0;
  int64_t failures_ = 0;
};

}  // namespace

std::string best_text(const std::vector<Trial>& trials, const SweepSpec& spec, bool on_test) {
  const std::string mark = on_test ? ", selected on test" : "";
  if (spec.objectives.empty()) return "";
  const std::vector<Observation> all = observations(trials, spec.objectives);
  std::vector<Losses> losses;
  std::vector<int64_t> points;
  for (const Observation& observation : all) {
    if (observation.losses.empty()) continue;
    losses.push_back(observation.losses);
    points.push_back(observation.point);
  }
  if (losses.empty()) return "";
  if (spec.objectives.size() > 1) {
    const std::vector<size_t> layers = pareto_layers(losses);
    return fmt::format("{} on the Pareto front{}",
                       std::count(layers.begin(), layers.end(), size_t{0}), mark);
  }
  const size_t best = best_first(losses).front();
  const auto trial = std::find_if(trials.begin(), trials.end(),
                                  [&](const Trial& t) { return t.point == points[best]; });
  const Objective& objective = spec.objectives.front();
  return fmt::format("best {} {:.4g} ({}){}", objective.metric,
                     objective.loss(losses[best].front()), trial_text(*trial, false), mark);
}

Driven drive(SweepDb& db, Executor& executor, const DriveOptions& options) {
  return Driver(db, executor, options).run();
}

}  // namespace xp::sweeps
