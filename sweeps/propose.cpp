#include "sweeps/propose.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include <fmt/format.h>

#include "core/base/log.h"
#include "sweeps/exclude.h"

namespace xp::sweeps {
namespace {

constexpr int kAttempts = 100;  // draws for one proposal until its point is a new one

bool ended(const Trial& trial) {
  return trial.state != TrialState::kQueued && trial.state != TrialState::kRunning;
}

// Random points need no results, so they are all proposed at once.
bool learns(const SweepSpec& spec) { return spec.strategy == "tpe"; }

std::vector<std::pair<std::string, std::string>> values_of(const Space& space, const Point& point) {
  std::vector<std::pair<std::string, std::string>> out;
  for (size_t i = 0; i < point.size(); ++i) out.emplace_back(space.axes[i].key, set_text(point[i]));
  return out;
}

class Proposer {
 public:
  Proposer(SweepDb& db, const SweepSpec& spec, const Space& space, const MakeTrial& make)
      : db_(db),
        spec_(spec),
        space_(space),
        make_(make),
        exclude_(space, spec.exclude),
        strategy_(make_strategy(spec.strategy, space, spec.seed)) {}

  size_t run() {
    const std::vector<Trial> table = db_.trials(false);
    const std::vector<Observation> all = observations(table, spec_.objectives);
    std::set<int64_t> over;
    for (const Observation& observation : all) over.insert(observation.point);
    for (const Trial& trial : table) known_.insert(trial.hash);
    size_t out = 0;
    for (int64_t number = db_.points() + 1; number <= spec_.trials; ++number) {
      std::vector<Observation> history;
      if (learns(spec_)) {
        const int64_t last = number - 1 - spec_.lag;
        for (int64_t point = 1; point <= last; ++point) {
          if (over.count(point) == 0) return out;  // it has to be known first
        }
        for (const Observation& observation : all) {
          if (observation.point <= last) history.push_back(observation);
        }
      }
      const std::vector<Trial> trials = next(number, history);
      if (trials.empty()) {
        log::info("all points of the space are there: {} in place of the {} that were asked for",
                  number - 1, spec_.trials);
        SweepSpec smaller = spec_;
        smaller.trials = number - 1;
        db_.update_spec(smaller);
        return out;
      }
      out += db_.add(trials, true);
    }
    return out;
  }

 private:
  // The trials of one proposal; none when nothing new was found.
  std::vector<Trial> next(int64_t number, const std::vector<Observation>& history) {
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      const std::vector<double> place = strategy_->propose(number, attempt, history);
      const Point point = point_at(space_, place);
      if (exclude_.holds(point, static_cast<int64_t>(spec_.seed))) continue;
      std::vector<Trial> out;
      for (int64_t s = 0; s < spec_.seeds; ++s) {
        Trial trial = make_(values_of(space_, point), spec_.seed + static_cast<uint64_t>(s));
        trial.place = place;
        if (known_.count(trial.hash) == 0) out.push_back(std::move(trial));
      }
      for (const Trial& trial : out) known_.insert(trial.hash);
      if (!out.empty()) return out;
    }
    return {};
  }

  SweepDb& db_;
  const SweepSpec& spec_;
  const Space& space_;
  const MakeTrial& make_;
  Exclude exclude_;
  std::unique_ptr<Strategy> strategy_;
  std::set<std::string> known_;
};

}  // namespace

std::vector<Observation> observations(const std::vector<Trial>& trials,
                                      const std::vector<Objective>& objectives) {
  std::map<int64_t, std::vector<const Trial*>> points;
  for (const Trial& trial : trials) points[trial.point].push_back(&trial);
  std::vector<Observation> out;
  for (const auto& [point, of_point] : points) {
    if (!std::all_of(of_point.begin(), of_point.end(),
                     [](const Trial* trial) { return ended(*trial); }))
      continue;
    Observation observation;
    observation.point = point;
    observation.place = of_point.front()->place;
    for (const Objective& objective : objectives) {
      double sum = 0;
      int n = 0;
      for (const Trial* trial : of_point) {
        const auto value = trial->metrics.find(objective.metric);
        if (value == trial->metrics.end() || trial->state != TrialState::kDone) continue;
        sum += objective.loss(value->second);
        ++n;
      }
      if (n == 0) {
        observation.losses.clear();
        break;
      }
      observation.losses.push_back(sum / n);
    }
    out.push_back(std::move(observation));
  }
  return out;
}

size_t propose(SweepDb& db, const SweepSpec& spec, const Space& space, const MakeTrial& make) {
  if (!proposes_more(db, spec) || !db.halted().empty()) return 0;
  const auto lock = FileLock::try_acquire(db.folder() / "propose.lock");
  return lock ? Proposer(db, spec, space, make).run() : 0;
}

bool proposes_more(const SweepDb& db, const SweepSpec& spec) {
  return spec.strategy != "grid" && db.points() < db.spec().trials && db.points() < spec.trials;
}

}  // namespace xp::sweeps
