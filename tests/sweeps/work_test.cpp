// Workers with pretended trials: what a kill, a stop or a slow holder does.
#include "sweeps/work.h"

#include <csignal>
#include <fstream>
#include <functional>
#include <set>
#include <thread>

#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "sweeps/drive.h"
#include "tests/testing/temp_dir.h"

namespace xp::sweeps {
namespace {

SweepSpec spec_of(const std::string& strategy = "grid") {
  SweepSpec out;
  out.id = "01J00000000000000000000000";
  out.name = "pretend";
  out.params = {{"tome.r", "0:64:8"}};
  out.strategy = strategy;
  out.seeds = 1;
  out.objectives = {parse_objective("max:eval.mAP")};
  return out;
}

std::vector<Trial> trials_of(int n, int bundle_size = 1) {
  std::vector<Trial> out;
  for (int i = 0; i < n; ++i) {
    Trial trial;
    trial.hash = fmt::format("hash{}", i);
    trial.bundle = fmt::format("bundle{}", i / bundle_size);
    trial.values = {{"tome.r", std::to_string(8 * i)}};
    out.push_back(std::move(trial));
  }
  return out;
}

// Appends a line to a file that all processes share: short appends are whole.
void append(const std::filesystem::path& file, const std::string& line) {
  std::ofstream(file, std::ios::app) << line + "\n" << std::flush;
}

std::vector<std::string> lines_of(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::vector<std::string> out;
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}

class Fake final : public TrialRunner {
 public:
  std::function<Ending(const Trial&, TrialControl&)> each = [](const Trial&, TrialControl&) {
    return Ending{};
  };
  std::map<int64_t, Ending> run(const std::vector<Trial>& trials, TrialControl& control) override {
    std::map<int64_t, Ending> out;
    for (const Trial& trial : trials) out[trial.number] = each(trial, control);
    return out;
  }
};

struct SweepWork : ::testing::Test {
  testing::TempDir dir;
  Fake fake;
  SweepDb make(const SweepSpec& spec, const std::vector<Trial>& trials) {
    SweepDb db = SweepDb::create(dir / "sweep", spec);
    db.add(trials, false);
    return db;
  }
  ~SweepWork() override { request_stop(StopReason::kNone); }
};

TEST_F(SweepWork, EndsWhenNothingIsLeft) {
  SweepDb db = make(spec_of(), trials_of(6, 3));
  size_t bundles = 0;
  std::set<std::string> runs;
  fake.each = [&](const Trial& trial, TrialControl& control) {
    bundles += trial.number % 3 == 1 ? 1 : 0;
    control.began(trial.number, fmt::format("RUN{}", trial.number));
    Ending out;
    out.metrics["eval.mAP"] = static_cast<double>(trial.number);
    return out;
  };
  EXPECT_EQ(work(db, fake, {}), 6U);
  EXPECT_EQ(bundles, 2U);
  EXPECT_EQ(db.counts().done, 6);
  EXPECT_EQ(db.trials(true)[4].run, "RUN5");
  EXPECT_EQ(best_text(db.trials(true), db.spec(), true),
            "best eval.mAP 6 (tome.r = 40), selected on test");
}

TEST_F(SweepWork, ACancelledSweepStopsWhatRuns) {
  SweepDb db = make(spec_of(), trials_of(2));
  fake.each = [&](const Trial&, TrialControl& control) {
    SweepDb::open(dir / "sweep").halt("cancelled", true);
    while (control.stop() == StopReason::kNone)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    Ending out;
    out.state = TrialState::kQueued;
    return out;
  };
  EXPECT_EQ(work(db, fake, {}), 0U);
  EXPECT_EQ(db.counts().queued, 2);
}

TEST_F(SweepWork, AWorkerThatWasTakenOverSaysNothing) {
  SweepDb db = make(spec_of(), trials_of(1));
  fake.each = [&](const Trial& trial, TrialControl&) {
    SweepDb other = SweepDb::open(dir / "sweep");
    other.reclaim_job("");  // as if its lease had ended
    other.claim("other", tracker::this_process(), 1);
    Ending ending;
    ending.metrics["eval.mAP"] = 1;
    EXPECT_TRUE(other.finish(trial.number, "other", ending));
    ending.metrics["eval.mAP"] = 2;
    return ending;
  };
  EXPECT_EQ(work(db, fake, {}), 0U);
  EXPECT_EQ(db.trials(true)[0].metrics.at("eval.mAP"), 1);
}

TEST_F(SweepWork, AshaAsksTheTableAtEachRung) {
  SweepSpec spec = spec_of("asha");
  SweepDb db = make(spec, trials_of(6));
  // Trial n is worth n: of six in this order each is the best so far at its rungs.
  std::map<int64_t, int> epochs;
  const auto train = [&](double worth) {
    return [&epochs, worth](const Trial& trial, TrialControl& control) {
      Ending out;
      for (int epoch = 1; epoch <= 9; ++epoch) {
        epochs[trial.number] = epoch;
        control.epoch_value(trial.number, epoch, worth * static_cast<double>(trial.number) + epoch);
        if (control.stop() == StopReason::kNone) continue;
        out.state = TrialState::kStopped;
        out.error = control.stopped_early();
        return out;
      }
      return out;
    };
  };
  fake.each = train(-1);  // the first is the best
  work(db, fake, {});
  EXPECT_EQ(epochs, (std::map<int64_t, int>{{1, 9}, {2, 1}, {3, 1}, {4, 1}, {5, 1}, {6, 1}}));
  EXPECT_EQ(db.counts().stopped, 5);
  EXPECT_EQ(db.trials(true)[1].error,
            "stopped at epoch 1: eval.mAP -1 is not in the best 1/3 of the 2 that came so far");
}

// A driver that carries nothing out itself.
class NoExecutor final : public Executor {
 public:
  std::function<void()> on_tick = [] {};
  void tick(int64_t, int64_t) override { on_tick(); }
  int active() const override { return 0; }
  void stop(StopReason) override {}
  bool outlives_driver() const override { return false; }
};

TEST_F(SweepWork, FailuresAreCountedAndEndTheSweep) {
  SweepDb db = make(spec_of(), trials_of(5));
  fake.each = [](const Trial& trial, TrialControl&) {
    Ending out;
    if (trial.number <= 3) {
      out.state = TrialState::kFailed;
      out.error = fmt::format("trial {} is bad\nwith details", trial.number);
    }
    return out;
  };
  NoExecutor executor;
  executor.on_tick = [&] {
    // One trial a turn, so that the driver sees each failure.
    SweepDb own = SweepDb::open(dir / "sweep");
    const auto claimed = own.claim("w", tracker::this_process(), 1);
    if (claimed.empty()) return;
    class Nothing final : public TrialControl {
     public:
      void began(int64_t, const std::string&) override {}
      void doing(std::string_view) noexcept override {}
      void epoch_value(int64_t, int64_t, double) noexcept override {}
      StopReason stop() const override { return StopReason::kNone; }
      std::string stopped_early() const override { return ""; }
    } nothing;
    own.finish(claimed[0].number, "w", fake.each(claimed[0], nothing));
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
  };
  DriveOptions options;
  options.max_failures = 2;
  ::testing::internal::CaptureStderr();
  const Driven driven = drive(db, executor, options);
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(driven.halted, "2 trials failed (max_failures)");
  EXPECT_EQ(driven.counts.failed, 2);
  EXPECT_EQ(driven.counts.queued, 3);
  EXPECT_NE(said.find("trial 1 (tome.r = 0) failed: trial 1 is bad\n"), std::string::npos) << said;
}

// Workers as processes, killed when `killed_after` trials have ended; then others go on.
void kill_and_go_on(const testing::TempDir& dir, int trials, int workers, size_t killed_after) {
  SweepDb db = SweepDb::create(dir / "kill", spec_of());
  db.add(trials_of(trials), false);
  const auto ended = dir / "ended";
  const auto start = [&](bool hang) {
    const pid_t child = ::fork();
    if (child != 0) return child;
    int code = 0;
    try {
      SweepDb own = SweepDb::open(dir / "kill");
      Fake fake;
      fake.each = [&](const Trial& trial, TrialControl&) {
        // From here on every worker is in the middle of a trial when the kill comes.
        while (hang && lines_of(ended).size() >= killed_after) ::usleep(1000);
        append(ended, std::to_string(trial.number));
        return Ending{};
      };
      work(own, fake, {});
    } catch (const std::exception& error) {
      fmt::print(stderr, "{}\n", error.what());
      code = 1;
    }
    ::_exit(code);
  };
  std::vector<pid_t> children;
  for (int i = 0; i < workers; ++i) children.push_back(start(true));
  while (lines_of(ended).size() < killed_after || db.counts().running < workers) {
    if (db.counts().queued == 0) break;
    ::usleep(1000);
  }
  for (const pid_t child : children) ::kill(child, SIGKILL);
  for (const pid_t child : children) ::waitpid(child, nullptr, 0);
  const Counts counts = db.counts();
  EXPECT_GE(counts.running, 1);
  EXPECT_LT(counts.done, trials);
  // What the same command does: trials of the dead are given back, new workers take what is left.
  db.reclaim(wall_ns());
  children.clear();
  for (int i = 0; i < workers; ++i) children.push_back(start(false));
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  int64_t tries = 0;
  for (const Trial& trial : db.trials(true)) {
    EXPECT_EQ(trial.state, TrialState::kDone) << trial.number;
    tries += trial.tries;
  }
  EXPECT_EQ(tries, trials + counts.running) << "only what was running at the kill was tried again";
}

TEST(KilledWorkersIntegration, EachTrialEndsOnce) {
  testing::TempDir dir;
  kill_and_go_on(dir, 12, 2, 4);
}

TEST(KilledWorkersStress, EachTrialEndsOnce) {
  for (int round = 0; round < 20; ++round) {
    testing::TempDir dir;
    kill_and_go_on(dir, 24, 3, 1 + static_cast<size_t>(round) % 18);
  }
}

}  // namespace
}  // namespace xp::sweeps
