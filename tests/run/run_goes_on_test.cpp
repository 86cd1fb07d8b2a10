// Which run is gone on with: the one of equal result keys and equal inputs, and no other.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/run/run_execute.h"
#include "tests/run/pretend.h"
#include "tracker/schema.h"
#include "tracker/sqlite.h"

namespace xp::run {
namespace {

namespace fs = std::filesystem;

constexpr const char* kGoesOnRecipe = R"(
experiment = { name = "first", tags = ["a"], notes = "one" }
dataset = { name = "folder", root = "A", val = "none" }
frontend = { kind = "kaldi", frames = 128 }
model.arch = "ast-nano"
train = { epochs = 1, batch_size = 8 }
optimiser.lr = 1e-3
stages.train.do = "train"
stages.eval = { do = "evaluate", checkpoint = "${stages.train.last}" }
)";

using testing::Names;

class RunGoesOn : public testing::PretendedWorkspace {
 protected:
  RunGoesOn() : PretendedWorkspace(kGoesOnRecipe) { fill("A", "one"); }

  static void fill(const fs::path& root, const std::string& content) {
    for (const char* clip : {"train/x/0.wav", "train/y/0.wav", "test/x/0.wav", "test/y/0.wav"}) {
      fs::create_directories((root / clip).parent_path());
      std::ofstream(root / clip) << content << clip;
    }
  }

  /// Runs until `stage` fails; "" for to the end. What was told on stderr is in `said_`.
  void run_until(const std::string& stage, const std::vector<std::string>& set = {}) {
    runner_.before = [stage](const graph::Node& node, graph::StageContext&) {
      if (node.name == stage) throw Error("out of luck", Exit::kFailed);
    };
    arguments_.set = set;
    ::testing::internal::CaptureStderr();
    try {
      EXPECT_EQ(execute_run(arguments_, plan_run(arguments_, find_workspace()),
                            {"exp", "run", "recipe.toml"}, runner_, {},
                            [](const auto&, const auto&, const auto&) {}),
                stage.empty() ? 0 : 1);
    } catch (...) {
      said_ = ::testing::internal::GetCapturedStderr();
      throw;
    }
    said_ = ::testing::internal::GetCapturedStderr();
  }

  RunArguments arguments_;
  std::string said_;
};

TEST_F(RunGoesOn, OtherDataIsAnotherRunThatSaysWhy) {
  fill("B", "two");
  run_until("train");
  run_until("", {"dataset.root=B"});
  ASSERT_EQ(runs().size(), 2U);
  EXPECT_NE(said_.find(fmt::format("run {} of this recipe is not gone on with: dataset.root ",
                                   runs()[1].uid)),
            std::string::npos)
      << said_;
  EXPECT_TRUE(tracker::to_text(runs()[0].params.at("dataset.root")).ends_with("B"));
  EXPECT_TRUE(tracker::to_text(runs()[1].params.at("dataset.root")).ends_with("A"));
  EXPECT_EQ(runs()[1].status, tracker::Status::kFailed);
  EXPECT_EQ(runs()[1].attempts, 1);
  // The one of A is still there to be gone on with, although a newer one of the recipe is done.
  run_until("");
  ASSERT_EQ(runs().size(), 2U);
  EXPECT_EQ(runs()[1].status, tracker::Status::kDone);
  EXPECT_EQ(runs()[1].attempts, 2);
}

TEST_F(RunGoesOn, ChangedContentsAreAnotherRun) {
  run_until("train");
  fill("A", "edited");
  run_until("");
  ASSERT_EQ(runs().size(), 2U);
  EXPECT_NE(said_.find("has another key by now"), std::string::npos) << said_;
}

TEST_F(RunGoesOn, EqualContentsElsewhereGoOnAndAreRecorded) {
  fill("B", "one");
  run_until("train");
  run_until("", {"dataset.root=B", "experiment.name=second", "experiment.tags=['a','b']",
                 "experiment.notes=two", "train.workers=1"});
  ASSERT_EQ(runs().size(), 1U) << said_;
  const tracker::RunInfo info = runs()[0];
  EXPECT_EQ(info.name, "second");
  EXPECT_EQ(info.tags, (Names{"a", "b"}));
  EXPECT_EQ(info.notes, "one\ntwo");
  EXPECT_TRUE(tracker::to_text(info.params.at("dataset.root")).ends_with("B"));
  const tracker::RunDetail detail = query().detail(info.uid);
  EXPECT_NE(detail.recipe_toml.find("second"), std::string::npos) << detail.recipe_toml;
  ASSERT_EQ(detail.attempts.size(), 2U);
  EXPECT_TRUE(detail.attempts[0].changes.empty());
  std::map<std::string, std::pair<std::string, std::string>> changes;
  for (const tracker::Change& change : detail.attempts[1].changes)
    changes[change.key] = {change.was.value_or("-"), change.now.value_or("-")};
  EXPECT_EQ(changes.at("name"), std::pair(std::string("first"), std::string("second")));
  EXPECT_EQ(changes.at("train.workers").second, "1");
  EXPECT_TRUE(changes.at("dataset.root").first.ends_with("A"));
  EXPECT_TRUE(changes.at("dataset.root").second.ends_with("B"));
}

// Somebody removed its run.db: the recipe can be run all the same, by a run of its own.
TEST_F(RunGoesOn, ARunWhoseRecordIsGoneIsLeft) {
  run_until("train");
  const std::string lost = runs()[0].uid;
  fs::remove(dir_ / ".exp" / "runs" / lost / "run.db");
  run_until("");
  EXPECT_NE(said_.find(fmt::format("run {} of this recipe is not gone on with: ", lost)),
            std::string::npos)
      << said_;
  const auto all = runs();
  EXPECT_TRUE(std::any_of(all.begin(), all.end(), [&](const tracker::RunInfo& run) {
    return run.uid != lost && run.status == tracker::Status::kDone;
  }));
}

// Nothing was made of the files yet: where they lie says whether they are the same.
TEST_F(RunGoesOn, PathsCountWhileNoStageHasBegun) {
  fill("B", "one");
  arguments_.request.until = "train";
  run_until("prepare");
  // As if it had been killed before its first stage.
  {
    const std::string uid = runs()[0].uid;
    tracker::sql::Database db =
        tracker::sql::Database::open(dir_ / ".exp/runs" / uid / "run.db", tracker::kRunSchema);
    db.exec("DELETE FROM stage");
  }
  run_until("prepare", {"dataset.root=B"});
  EXPECT_EQ(runs().size(), 2U) << said_;
  EXPECT_NE(said_.find("dataset.root "), std::string::npos) << said_;
}

TEST_F(RunGoesOn, AskedForByItsIdItIsRefusedWithOtherData) {
  fill("B", "two");
  run_until("train");
  arguments_.run = runs()[0].uid;
  EXPECT_THROW(run_until("", {"dataset.root=B"}), Error);
  EXPECT_EQ(runs()[0].attempts, 1);
  run_until("");
  EXPECT_EQ(runs()[0].attempts, 2);
}

TEST_F(RunGoesOn, ADoneRunOfTheSameInputsEndsTheSearch) {
  run_until("train");
  arguments_.fresh = true;
  run_until("");
  arguments_.fresh = false;
  run_until("");
  EXPECT_EQ(runs().size(), 3U) << "the failed one is older than one that is done";
}

}  // namespace
}  // namespace xp::run
