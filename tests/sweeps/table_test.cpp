#include "sweeps/table.h"

#include <filesystem>
#include <fstream>
#include <thread>

#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "sweeps/propose.h"
#include "tests/testing/temp_dir.h"

namespace xp::sweeps {
namespace {

namespace fs = std::filesystem;

SweepSpec small_spec() {
  SweepSpec out;
  out.id = "01J00000000000000000000000";
  out.name = "pretend";
  out.family = "f";
  out.recipe = "/r.toml";
  out.params = {{"tome.r", "0:64:8"}};
  out.objectives = {parse_objective("max:eval.mAP"), parse_objective("min:eval.loss")};
  out.files = {{"/r.toml", "text"}};
  out.environment = {{"EXP_DATA", "/data"}, {"HOME", std::nullopt}};
  return out;
}

Trial make(const std::string& hash, const std::string& bundle, const std::string& r,
           uint64_t seed = 0) {
  Trial out;
  out.hash = hash;
  out.bundle = bundle;
  out.goals = "g" + hash;
  out.seed = seed;
  out.values = {{"tome.r", r}};
  out.place = {0.1, 1.0 / 3};
  return out;
}

struct Table : ::testing::Test {
  testing::TempDir dir;
  SweepDb db = SweepDb::create(dir / "sweep", small_spec());
  const tracker::ProcessId me = tracker::this_process();
};

TEST_F(Table, KeepsItsSpec) {
  const SweepSpec spec = SweepDb::open(dir / "sweep").spec();
  EXPECT_EQ(spec.id, small_spec().id);
  EXPECT_EQ(spec.params, small_spec().params);
  EXPECT_EQ(spec.files, small_spec().files);
  EXPECT_EQ(spec.environment, small_spec().environment);
  ASSERT_EQ(spec.objectives.size(), 2U);
  EXPECT_EQ(objective_text(spec.objectives[1]), "min:eval.loss");
}

TEST_F(Table, ASweepThatIsNotWholeIsNone) {
  fs::create_directories(dir / ".exp/sweeps");
  const fs::path good = dir / ".exp/sweeps/01J00000000000000000000000";
  SweepDb::create(good, small_spec());
  EXPECT_FALSE(fs::exists(good / "sweep.db.new"));
  fs::create_directories(dir / ".exp/sweeps/01J00000000000000000000001");
  std::ofstream(dir / ".exp/sweeps/01J00000000000000000000001/sweep.db.new") << "half";
  EXPECT_EQ(sweep_folders(dir / ".exp").size(), 1U);
  const fs::path broken = dir / ".exp/sweeps/01J00000000000000000000002";
  fs::create_directories(broken);
  std::ofstream(broken / "sweep.db") << std::string(5000, 'x');
  EXPECT_EQ(find_sweep(dir / ".exp", "last"), good);
  EXPECT_EQ(find_sweep(dir / ".exp", "01J00000000000000000000002"), broken);
  std::ofstream(broken / "sweep.db", std::ios::trunc) << "";
  EXPECT_EQ(find_sweep(dir / ".exp", ""), good) << "one that was never written";
}

TEST_F(Table, OnlyNewHashesAreAdded) {
  EXPECT_EQ(db.add({make("a", "x", "0"), make("b", "x", "8")}, false), 2U);
  EXPECT_EQ(db.add({make("a", "x", "0"), make("c", "x", "4"), make("b", "x", "8")}, false), 1U);
  const std::vector<Trial> all = db.trials(true);
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[2].hash, "c");
  EXPECT_EQ(all[0].place, (std::vector<double>{0.1, 1.0 / 3}));
  // A narrower command wants fewer; the others stay.
  EXPECT_EQ(db.add({make("a", "x", "0")}, false), 0U);
  EXPECT_EQ(db.trials(true).size(), 1U);
  EXPECT_EQ(db.trials(false).size(), 3U);
  EXPECT_EQ(db.counts().all(), 1);
}

TEST_F(Table, TrialsThatDifferBySeedShareAPoint) {
  db.add({make("a", "x", "0", 0), make("b", "y", "8", 0)}, false);
  db.add({make("a1", "x1", "0", 1), make("b1", "y1", "8", 1)}, true);
  std::map<std::string, int64_t> points;
  for (const Trial& trial : db.trials(true)) points[trial.hash] = trial.point;
  EXPECT_EQ(points, (std::map<std::string, int64_t>{{"a", 1}, {"a1", 1}, {"b", 2}, {"b1", 2}}));
}

TEST_F(Table, ABundleIsClaimedAtOnce) {
  db.add({make("a", "x", "0"), make("b", "y", "8"), make("c", "x", "16"), make("d", "x", "24")},
         false);
  std::vector<Trial> claimed = db.claim("w1", me, 2);
  ASSERT_EQ(claimed.size(), 2U);
  EXPECT_EQ(claimed[0].hash, "a");
  EXPECT_EQ(claimed[1].hash, "c");
  EXPECT_EQ(claimed[1].values,
            (std::vector<std::pair<std::string, std::string>>{{"tome.r", "16"}}));
  claimed = db.claim("w2", me, 32);
  ASSERT_EQ(claimed.size(), 1U);
  EXPECT_EQ(claimed[0].hash, "b");
  EXPECT_EQ(db.claim("w3", me, 32)[0].hash, "d");
  EXPECT_TRUE(db.claim("w4", me, 32).empty());
  EXPECT_EQ(db.counts().running, 4);
}

TEST_F(Table, OnlyTheHolderEndsATrial) {
  db.add({make("a", "x", "0")}, false);
  db.claim("w1", me, 1);
  Ending ending;
  ending.metrics = {{"eval.mAP", 0.5}, {"eval.loss", std::nan("")}};
  EXPECT_FALSE(db.finish(1, "w2", ending));
  EXPECT_TRUE(db.finish(1, "w1", ending));
  EXPECT_FALSE(db.finish(1, "w1", ending)) << "once";
  const Trial trial = db.trials(true)[0];
  EXPECT_EQ(trial.state, TrialState::kDone);
  EXPECT_EQ(trial.metrics.at("eval.mAP"), 0.5);
  EXPECT_TRUE(std::isnan(trial.metrics.at("eval.loss")));
}

TEST_F(Table, ATrialGivenBackIsQueued) {
  db.add({make("a", "x", "0")}, false);
  db.claim("w1", me, 1);
  Ending ending;
  ending.state = TrialState::kQueued;
  EXPECT_TRUE(db.finish(1, "w1", ending));
  EXPECT_EQ(db.claim("w2", me, 1).at(0).tries, 2);
}

TEST_F(Table, TrialsOfTheDeadAreGivenBackAndLostAfterThree) {
  db.add({make("a", "x", "0")}, false);
  for (int loss = 1; loss <= kMaxLosses; ++loss) {
    const pid_t child = ::fork();
    if (child == 0) {
      SweepDb::open(dir / "sweep").claim("dead", tracker::this_process(), 1);
      ::_exit(0);
    }
    ::waitpid(child, nullptr, 0);
    EXPECT_EQ(db.counts().running, 1);
    EXPECT_EQ(db.reclaim(wall_ns()), 1U);
  }
  EXPECT_EQ(db.counts().lost, 1);
  EXPECT_EQ(db.trials(true)[0].error,
            "its worker died 3 times without a word (killed, or out of memory); --retry lost tries "
            "again");
  EXPECT_EQ(db.retry(TrialState::kLost), 1U);
  EXPECT_EQ(db.claim("w", me, 1).size(), 1U);
}

TEST_F(Table, AnotherHostIsBelievedUntilItsLeaseEnds) {
  db.add({make("a", "x", "0")}, false);
  tracker::ProcessId far = me;
  far.host = "elsewhere";
  db.claim("far", far, 1);
  EXPECT_EQ(db.reclaim(wall_ns()), 0U);
  EXPECT_EQ(db.reclaim(wall_ns() + 2 * kLeaseNs), 1U);
  EXPECT_FALSE(db.renew("far", {1}, "late"));
  EXPECT_FALSE(db.finish(1, "far", {}));
}

TEST_F(Table, OfAHaltedSweepNothingIsClaimed) {
  db.add({make("a", "x", "0")}, false);
  db.halt("cancelled", true);
  EXPECT_TRUE(db.cancelled());
  EXPECT_TRUE(db.claim("w", me, 1).empty());
  db.reopen();
  EXPECT_EQ(db.claim("w", me, 1).size(), 1U);
}

TEST_F(Table, DoneTrialsWithOtherGoalsOrWithoutTheirRunAreQueuedAgain) {
  db.add({make("a", "x", "0"), make("b", "x", "8")}, false);
  db.claim("w", me, 2);
  db.set_run(1, "w", "RUN1");
  db.set_run(2, "w", "RUN2");
  db.finish(1, "w", {});
  db.finish(2, "w", {});
  Trial changed = make("a", "x", "0");
  changed.goals = "other data";
  db.add({changed, make("b", "x", "8")}, false);
  EXPECT_EQ(db.counts().queued, 1);
  EXPECT_EQ(db.counts().done, 1);
  EXPECT_EQ(db.forget_removed([](const std::string& run) { return run == "RUN1"; }), 1U);
  EXPECT_EQ(db.counts().queued, 2);
}

TEST_F(Table, RungsKeepTheirOrderAndTakeATrialOnce) {
  db.add({make("a", "x", "0"), make("b", "x", "8")}, false);
  db.add_rung(2, 3, 0.5);
  db.add_rung(1, 3, 0.25);
  db.add_rung(2, 3, 0.75);
  EXPECT_EQ(db.rung(3), (std::vector<std::pair<int64_t, double>>{{2, 0.5}, {1, 0.25}}));
}

TEST_F(Table, IsFoundByItsLetters) {
  testing::TempDir workspace;
  const auto sweep = [&](const std::string& id) {
    SweepSpec spec = small_spec();
    spec.id = id;
    SweepDb::create(workspace.path() / "sweeps" / id, spec);
  };
  EXPECT_THROW(find_sweep(workspace.path(), "last"), Error);
  sweep("01AAAAAAAAAAAAAAAAAAAAAAAB");
  sweep("01BBBBBBBBBBBBBBBBBBBBBBBC");
  EXPECT_EQ(find_sweep(workspace.path(), "last").filename(), "01BBBBBBBBBBBBBBBBBBBBBBBC");
  EXPECT_EQ(find_sweep(workspace.path(), "aaab").filename(), "01AAAAAAAAAAAAAAAAAAAAAAAB");
  EXPECT_THROW(find_sweep(workspace.path(), "zzzz"), Error);
}

// `drivers` processes, each claims until nothing is left and writes down what it got.
void claims(const testing::TempDir& dir, int drivers, int trials) {
  SweepDb db = SweepDb::create(dir / "claims", small_spec());
  std::vector<Trial> all;
  for (int i = 0; i < trials; ++i)
    all.push_back(make(std::to_string(i), std::to_string(i), std::to_string(i)));
  db.add(all, false);
  const int64_t start = steady_ns();
  std::vector<pid_t> children;
  for (int d = 0; d < drivers; ++d) {
    const pid_t child = ::fork();
    if (child == 0) {
      int code = 0;
      try {
        SweepDb own = SweepDb::open(dir / "claims");
        const std::string owner = "driver" + std::to_string(d);
        while (true) {
          const std::vector<Trial> claimed = own.claim(owner, tracker::this_process(), 1);
          if (claimed.empty()) break;
          Ending ending;
          ending.metrics["tries"] = claimed[0].tries;
          if (!own.finish(claimed[0].number, owner, ending)) code = 1;
        }
      } catch (const std::exception& error) {
        fmt::print(stderr, "{}\n", error.what());
        code = 2;
      }
      ::_exit(code);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  const double seconds = static_cast<double>(steady_ns() - start) / 1e9;
  fmt::print("{} claims and ends by {} drivers: {:.0f}/s\n", trials, drivers, trials / seconds);
  for (const Trial& trial : db.trials(true)) {
    EXPECT_EQ(trial.state, TrialState::kDone);
    EXPECT_EQ(trial.tries, 1) << trial.number;
  }
}

TEST(ClaimsIntegration, NoTrialIsRunTwice) {
  testing::TempDir dir;
  claims(dir, 4, 100);
}

TEST(ClaimsStress, SixteenDriversThousandTrials) {
  testing::TempDir dir;
  claims(dir, 16, 1000);
}

}  // namespace
}  // namespace xp::sweeps
