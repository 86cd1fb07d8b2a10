// Trainings on several worker processes.
#include "core/dist/team.h"

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <thread>

#include <dirent.h>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/evaluate/run.h"
#include "core/load/weights_file.h"
#include "core/train/run.h"
#include "tests/train/stages_fixture.h"

namespace xp::train {
namespace {

using namespace fixture;
namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

class TeamDist : public Stages {
 protected:
  void SetUp() override {
    const fs::path program = fs::read_symlink("/proc/self/exe").parent_path() / "exp-compute";
    if (!fs::exists(program)) GTEST_SKIP() << "no exp-compute beside this test";
    dist::set_worker_program(program.string());
  }
  void TearDown() override { dist::set_worker_program("/proc/self/exe"); }
  static graph::StageContext on(const std::string& name, int ranks, tracker::RunSink& sink) {
    graph::StageContext context = stage(name, sink);
    context.resources.devices.clear();
    for (int rank = 0; rank < ranks; ++rank)
      context.resources.devices.push_back(rank == 0 ? "cpu" : "cpu:" + std::to_string(rank));
    context.resources.threads = ranks;
    return context;
  }
  static double largest_difference(const fs::path& a, const fs::path& b) {
    const auto left = checkpoint::Archive::open(a);
    const auto right = checkpoint::Archive::open(b);
    double worst = 0;
    for (const auto& entry : left.entries()) {
      const auto* other = right.find(entry.name);
      const auto* x = reinterpret_cast<const float*>(entry.bytes.data());
      const auto* y = reinterpret_cast<const float*>(other->bytes.data());
      for (int64_t i = 0; i < entry.numel(); ++i)
        worst = std::max(worst, static_cast<double>(std::abs(x[i] - y[i])));
    }
    return worst;
  }
};

/// Plain sums of gradients are what ranks change; Adam would turn rounding into whole steps.
schema::TrainStageOptions plain_training() {
  schema::TrainStageOptions options = small_training();
  options.optimiser.kind = schema::OptimiserKind::kSgd;
  options.optimiser.lr = 0.05;
  options.averaging.kind = schema::AveragingKind::kNone;
  return options;
}

TEST_F(TeamDist, TwoAndFourRanksEndWhereOneDoes) {
  tracker::MemorySink alone_sink;
  graph::StageContext alone = on("alone", 1, alone_sink);
  run_train(plain_training(), alone);
  for (const int ranks : {2, 4}) {
    SCOPED_TRACE(ranks);
    tracker::MemorySink sink;
    graph::StageContext team = on("team" + std::to_string(ranks), ranks, sink);
    run_train(plain_training(), team);
    EXPECT_LT(
        largest_difference(alone.output / "last.safetensors", team.output / "last.safetensors"),
        2e-5);
    const auto want = alone_sink.points("train.loss");
    const auto got = sink.points("train.loss");
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < got.size(); ++i)
      EXPECT_NEAR(got[i].value, want[i].value, 1e-4) << "step " << i;
    EXPECT_EQ(sink.last("final.acc"), alone_sink.last("final.acc"));
    EXPECT_FALSE(fs::exists(team.output / "rank-1.log"));
  }
}

TEST_F(TeamDist, RecomputingRanksEndWhereOneDoes) {
  tracker::NullSink null;
  graph::StageContext alone = on("not_recomputed", 1, null);
  run_train(plain_training(), alone);
  schema::TrainStageOptions options = plain_training();
  options.train.activation_checkpointing = true;
  graph::StageContext team = on("recomputed", 2, null);
  run_train(options, team);
  EXPECT_LT(largest_difference(alone.output / "last.safetensors", team.output / "last.safetensors"),
            2e-5);
}

TEST_F(TeamDist, RanksValidateWithTheBatchNormThatIsSaved) {
  schema::TrainStageOptions options = plain_training();
  options.model = schema::ModelOptions::of_kind(schema::Family::k_mn);
  options.model.arch = "mn01";
  tracker::MemorySink curves;
  graph::StageContext team = on("batch_norm", 2, curves);
  run_train(options, team);
  tracker::MemorySink scores;
  graph::StageContext context = stage("batch_norm_val", scores);
  add(context, "checkpoint", "batch_norm", "last");
  evaluate::run_evaluate(validation_of(options), context);
  EXPECT_NEAR(curves.last("val.loss"), scores.last("loss"), 1e-5);
}

TEST(LaunchedGpu, IsTheRanksOwnOrTheOnlyOne) {
  EXPECT_EQ(dist::launched_gpu(3, 8), "gpu:3") << "a launcher that shows all GPUs of the machine";
  EXPECT_EQ(dist::launched_gpu(3, 1), "gpu:0") << "one that shows each task its own";
  EXPECT_EQ(dist::launched_gpu(2, 0), "gpu:2")
      << "none: the message names the one that was asked for";
}

TEST_F(TeamDist, GoesOnWithAnotherNumberOfRanks) {
  tracker::NullSink null;
  graph::StageContext whole = on("whole_ranks", 1, null);
  run_train(plain_training(), whole);
  // Ten steps: one rank makes some of them, four make more, two the rest.
  for (const int ranks : {1, 4}) {
    graph::StageContext part = on("changed", ranks, null);
    int progress = 0;
    part.progress = [&](std::string_view, double, double) { ++progress; };
    part.stop_requested = [&] {
      return progress >= 3 ? StopReason::kPreempted : StopReason::kNone;
    };
    EXPECT_THROW(run_train(plain_training(), part), Stopped);
    EXPECT_EQ(progress, 4) << "the step in which a rank is asked is made to its end";
  }
  graph::StageContext rest = on("changed", 2, null);
  std::vector<std::string> said;
  rest.say = [&said](std::string_view line) { said.emplace_back(line); };
  run_train(plain_training(), rest);
  EXPECT_EQ(said, std::vector<std::string>{"goes on from step 8"});
  EXPECT_LT(largest_difference(whole.output / "last.safetensors", rest.output / "last.safetensors"),
            2e-5);
}

TEST_F(TeamDist, PretrainingOnTwoRanksEndsWhereOneDoes) {
  schema::PretrainStageOptions options = small_pretraining();
  options.train.epochs = 2;
  options.optimiser.kind = schema::OptimiserKind::kSgd;
  options.optimiser.lr = 0.01;
  tracker::NullSink null;
  graph::StageContext alone = on("masked_alone", 1, null);
  run_pretrain(options, alone);
  graph::StageContext team = on("masked_team", 2, null);
  run_pretrain(options, team);
  EXPECT_LT(largest_difference(alone.output / "last.safetensors", team.output / "last.safetensors"),
            2e-5);
}

/// Processes whose parent is this one.
std::vector<pid_t> children() {
  std::vector<pid_t> found;
  DIR* proc = opendir("/proc");
  while (const dirent* entry = readdir(proc)) {
    const int pid = std::atoi(entry->d_name);
    if (pid <= 0) continue;
    std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
    std::string id, name, state, parent;
    stat >> id >> name >> state >> parent;
    if (parent == std::to_string(getpid())) found.push_back(pid);
  }
  closedir(proc);
  return found;
}

TEST_F(TeamDist, ADeadRankEndsTheJobSoon) {
  schema::TrainStageOptions options = plain_training();
  options.train.epochs = 100000;
  tracker::MemorySink sink;
  graph::StageContext context = on("dead", 3, sink);
  Clock::time_point killed{};
  std::thread killer([&] {
    for (int i = 0; i < 1200 && sink.points("train.loss").size() < 3; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    const std::vector<pid_t> ranks = children();
    if (ranks.empty()) return;
    killed = Clock::now();
    ::kill(ranks.back(), SIGKILL);
  });
  std::string message;
  try {
    run_train(options, context);
  } catch (const Error& error) {
    message = error.message();
  }
  const auto ended = Clock::now();
  killer.join();
  EXPECT_TRUE(message == "rank 1 failed: ended by signal 9" ||
              message == "rank 2 failed: ended by signal 9")
      << message;
  // Ten seconds are promised; a machine that is shared with others gets more here. Without the
  // watch over the ranks it may be the ten minutes after which gloo gives up.
  const double took_s = std::chrono::duration<double>(ended - killed).count();
  RecordProperty("seconds", std::to_string(took_s));
  std::cout << "ended " << took_s << " s after the rank died\n";
  EXPECT_LT(took_s, 60);
  EXPECT_TRUE(children().empty());
}

TEST_F(TeamDist, ARanksFirstErrorLineIsTheMessage) {
  tracker::NullSink null;
  graph::StageContext context = on("wrong", 2, null);
  context.resources.devices[1] = "gpu:97";
  try {
    run_train(plain_training(), context);
    FAIL() << "ran";
  } catch (const Error& error) {
    EXPECT_EQ(error.message().substr(0, 15), "rank 1 failed: ") << error.message();
    EXPECT_NE(error.message().find("device 'gpu:97'"), std::string::npos) << error.message();
  }
}

}  // namespace
}  // namespace xp::train
