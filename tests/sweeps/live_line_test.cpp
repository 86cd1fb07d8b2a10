// What a person sees of a sweep while it runs: one line on a terminal, and what is said above it.
#include <regex>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/progress.h"
#include "sweeps/drive.h"
#include "sweeps/executor.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/terminal.h"
#include "tracker/process.h"

namespace xp::sweeps {
namespace {

constexpr const char* kOwner = "worker";
constexpr int kPatience = 600;  // ticks of 100 ms until a screen that does not come is a failure

/// How fast this machine is stands in the line as well.
std::string without_speed(const std::string& row) {
  const std::string text = std::regex_replace(row, std::regex(R"([0-9.e+-]+/s)"), "#/s");
  return std::regex_replace(text, std::regex(R"(#/s, [^,]* left)"), "#/s, # left");
}

struct Step {
  std::string line;           // what the terminal's last row is to become
  std::function<void()> act;  // and what happens then
};

/// Trials that go on when the terminal shows what was so far.
class Scripted final : public Executor {
 public:
  Scripted(const testing::Terminal& terminal, std::vector<Step> steps)
      : terminal_(terminal), steps_(std::move(steps)) {}
  void tick(int64_t, int64_t) override {
    if (done_ == steps_.size()) return;
    const std::string row = without_speed(terminal_.rows().back());
    if (row != steps_[done_].line && ++waited_ < kPatience) return;
    waited_ = 0;
    seen.push_back(row);
    steps_[done_++].act();
  }
  int active() const override { return done_ < steps_.size() ? 1 : 0; }
  void stop(StopReason) override {}
  bool outlives_driver() const override { return false; }

  std::vector<std::string> seen;

 private:
  const testing::Terminal& terminal_;
  std::vector<Step> steps_;
  size_t done_ = 0;
  int waited_ = 0;
};

class LiveLine : public ::testing::Test {
 protected:
  LiveLine() : db_(SweepDb::create(dir_ / "sweep", spec())) {
    std::vector<Trial> trials(4);
    for (size_t i = 0; i < trials.size(); ++i) {
      trials[i].hash = trials[i].bundle = "hash" + std::to_string(i);
      trials[i].values = {{"tome.r", std::to_string(8 * i)}};
    }
    db_.add(trials, false);
    set_progress_enabled(true);
  }
  ~LiveLine() override { set_progress_enabled(false); }

  static SweepSpec spec() {
    SweepSpec out;
    out.id = "01J0000000000000000000WXYZ";
    out.name = "pretend";
    out.params = {{"tome.r", "0:24:8"}};
    out.objectives = {parse_objective("max:eval.mAP")};
    return out;
  }
  void claim(const std::string& doing) {
    const std::vector<Trial> got = db_.claim(kOwner, tracker::this_process(), 1);
    ASSERT_EQ(got.size(), 1U);
    number_ = got.front().number;
    db_.renew(kOwner, {number_}, doing);
  }
  void end(TrialState state, double map, const std::string& error = "") {
    Ending ending;
    ending.state = state;
    ending.error = error;
    ending.seconds = 2;
    if (state == TrialState::kDone) ending.metrics["eval.mAP"] = map;
    ASSERT_TRUE(db_.finish(number_, kOwner, ending));
  }

  testing::TempDir dir_;
  SweepDb db_;
  int64_t number_ = 0;
};

TEST_F(LiveLine, IsTheGoldenScreen) {
  const std::string start = "sweep 0000WXYZ: ";
  std::vector<Step> steps;
  steps.push_back(
      {start + "0/4 (0 %) trials, #/s, 0 running", [&] { claim("train: epoch 3/10"); }});
  steps.push_back({start + "0/4 (0 %) trials, #/s, 1 running, train: epoch 3/10", [&] {
                     end(TrialState::kDone, 0.5);
                     claim("eval: clips 16/40");
                   }});
  steps.push_back({start + "1/4 (25 %) trials, #/s, # left, 1 running, best eval.mAP 0.5 "
                           "(tome.r = 0), selected on test, eval: clips 16/40",
                   [&] { end(TrialState::kFailed, 0, "no memory for r = 8\nand more"); }});
  steps.push_back({start + "2/4 (50 %) trials, #/s, # left, 0 running, 1 failed, best eval.mAP 0.5 "
                           "(tome.r = 0), selected on test",
                   [&] {
                     claim("");
                     end(TrialState::kDone, 0.625);
                     claim("");
                     end(TrialState::kStopped, 0, "stopped by `exp stop`");
                   }});
  std::vector<std::string> lines;
  for (const Step& step : steps) lines.push_back(step.line);
  std::vector<std::string> rows;
  {
    const testing::Terminal terminal(150);
    Scripted executor(terminal, std::move(steps));
    DriveOptions options;
    options.selected_on_test = true;
    drive(db_, executor, options);
    EXPECT_EQ(executor.seen, lines);
    // The reader may be behind: the end of the last line comes last.
    for (int i = 0; i < kPatience && terminal.rows().size() < 4; ++i) ::usleep(10000);
    rows = terminal.rows();
  }
  for (std::string& row : rows) row = without_speed(row);
  EXPECT_THAT(rows, ::testing::ElementsAre(
                        "error: trial 2 (tome.r = 8) failed: no memory for r = 8",
                        "trial 4 (tome.r = 24) stopped by `exp stop`",
                        start + "4/4 (100 %) trials, #/s, 0 running, 1 failed, best eval.mAP 0.625 "
                                "(tome.r = 16), selected on test",
                        ""));
}

TEST_F(LiveLine, ALineThatIsTooLongIsCutWhereItIsRewritten) {
  std::vector<std::string> rows;
  {
    const testing::Terminal terminal(40);
    Progress progress("prepare", 3, "clips");
    progress.note("a note that is longer than the terminal is wide: ± 0.5");
    for (int i = 0; i < kPatience && terminal.rows().back().size() < 39; ++i) {
      progress.add(0);
      ::usleep(10000);
    }
    rows = terminal.rows();
    ASSERT_EQ(rows.size(), 1U) << "it did not go on in a second row";
    EXPECT_THAT(rows[0], ::testing::StartsWith("prepare: 0/3 (0 %) clips, 0/s, a note "));
    EXPECT_EQ(rows[0].size(), 39U);
    progress.note("");
    progress.finish();
    for (int i = 0; i < kPatience && terminal.rows().size() < 2; ++i) ::usleep(10000);
    rows = terminal.rows();
  }
  EXPECT_THAT(rows, ::testing::ElementsAre("prepare: 0/3 (0 %) clips, 0/s", ""));
}

}  // namespace
}  // namespace xp::sweeps
