#include "core/train/loop.h"

#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/base/stop.h"
#include "core/checkpoint/archive.h"
#include "core/dist/group.h"
#include "core/train/averaging.h"
#include "core/train/hooks.h"
#include "tests/train/loop_fixture.h"

namespace xp::train {
namespace {

using namespace fixture;
using xp::testing::TempDir;

struct Killed {};

/// Ends a training as kill -9 does: nothing is saved after it.
class KillHook final : public Hook {
 public:
  explicit KillHook(int64_t step) : step_(step) {}
  std::string name() const override { return "kill"; }
  void after_step(Loop& loop, const StepResult&) override {
    if (loop.step() == step_) throw Killed{};
  }

 private:
  int64_t step_;
};

/// One attempt of the training in `folder`: from its newest checkpoint, until `kill_at` (-1 = the
/// end).
std::map<std::string, at::Tensor> attempt(const std::filesystem::path& folder, int64_t kill_at,
                                          tracker::RunSink& sink, LoopOptions options,
                                          std::vector<std::string>* said = nullptr) {
  LinearProblem problem;
  LinearTask task(problem);
  MadeBatches batches(52, 8);
  Averaging::Named named{{"weight", problem.weight}, {"bias", problem.bias}};
  schema::AveragingOptions averaging_options;
  averaging_options.kind = schema::AveragingKind::kEma;
  averaging_options.decay = 0.9;
  Averaging averaging(averaging_options, named, options.train.epochs);
  LogHook log(sink);
  AverageHook average(averaging);
  DivergenceHook divergence(4);
  ValidateHook validate(
      [&] {
        return ValidateHook::Metrics{{"loss", problem.weight.sum().item<double>()}};
      },
      [](const ValidateHook::Metrics&) {}, "");
  KillHook kill(kill_at);
  graph::StageContext context = stage_context(folder, sink);
  if (said != nullptr) context.say = [said](std::string_view line) { said->emplace_back(line); };
  Loop loop(options, problem.state(), problem.trained(), 2, task, batches,
            {&log, &average, &divergence, &validate, &kill}, context, at::kCPU, nullptr);
  const auto warn = [&](std::string_view text) { context.say(text); };
  if (const auto saved = CheckpointFolder(folder).load(warn)) loop.load(saved->states);
  try {
    loop.run();
  } catch (const Killed&) {
  }
  std::map<std::string, at::Tensor> result;
  for (const auto& [state_name, state] : loop.states())
    for (const auto& [name, tensor] : state.tensors)
      result[state_name + "/" + name] = tensor.clone();
  return result;
}

void expect_same_bits(const std::map<std::string, at::Tensor>& a,
                      const std::map<std::string, at::Tensor>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (const auto& [name, tensor] : a) EXPECT_TRUE(at::equal(tensor, b.at(name))) << name;
}

TEST(Loop, EndsWithTheSameBitsWhereverItWasKilled) {
  const TempDir temporary;
  tracker::NullSink null;
  const LoopOptions options = linear_options();
  const auto whole = attempt(temporary / "whole", -1, null, options);
  const int64_t steps = 3 * 7;
  for (int64_t kill = 1; kill < steps; ++kill) {
    SCOPED_TRACE(kill);
    const auto folder = temporary / ("kill" + std::to_string(kill));
    LoopOptions often = options;
    often.save_every_steps = 3;
    tracker::MemorySink sink;
    attempt(folder, kill, sink, often);
    const size_t first = sink.points("train.loss").size();
    expect_same_bits(attempt(folder, -1, sink, often), whole);
    // Points of the first attempt beyond the checkpoint are taken back; each step is left once, and
    // none is missing.
    ASSERT_LE(sink.resumes().size(), 1U);
    const int64_t from = sink.resumes().empty() ? 0 : sink.resumes()[0].first;
    std::multiset<int64_t> shown;
    const auto points = sink.points("train.loss");
    for (size_t i = 0; i < points.size(); ++i)
      if (i >= first || points[i].step <= from) shown.insert(points[i].step);
    std::multiset<int64_t> wanted{1, steps};  // the first and the last whatever the interval is
    for (int64_t step = 2; step < steps; step += 2) wanted.insert(step);
    EXPECT_EQ(shown, wanted);
  }
}

TEST(Loop, ATrainingShorterThanTheIntervalIsLogged) {
  const TempDir temporary;
  LoopOptions options = linear_options();
  options.train.log_every_steps = 1000;
  tracker::MemorySink sink;
  attempt(temporary / "short", -1, sink, options);
  for (const char* metric : {"train.loss", "lr", "train.grad_norm/head"}) {
    const auto points = sink.points(metric);
    ASSERT_EQ(points.size(), 2U) << metric;
    EXPECT_EQ(points[0].step, 1);
    EXPECT_EQ(points[1].step, 3 * 7);
  }
}

TEST(Loop, PassesOverADamagedCheckpoint) {
  const TempDir temporary;
  tracker::NullSink null;
  LoopOptions options = linear_options();
  const auto whole = attempt(temporary / "whole", -1, null, options);
  options.save_every_steps = 2;
  attempt(temporary / "cut", 9, null, options);
  const auto newest = temporary / "cut" / "state-000000008.safetensors";
  ASSERT_TRUE(std::filesystem::exists(newest));
  std::filesystem::resize_file(newest, std::filesystem::file_size(newest) - 7);
  std::vector<std::string> said;
  expect_same_bits(attempt(temporary / "cut", -1, null, options, &said), whole);
  ASSERT_EQ(said.size(), 1U);
  EXPECT_EQ(
      said[0],
      "the checkpoint of step 8 is damaged and passed over: its tensors are cut short or changed");
}

TEST(Loop, KeepsTwoCheckpoints) {
  const TempDir temporary;
  tracker::NullSink null;
  LoopOptions options = linear_options();
  options.save_every_steps = 1;
  attempt(temporary / "run", 12, null, options);
  int64_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(temporary / "run")) {
    (void)entry;
    ++files;
  }
  EXPECT_EQ(files, 4);
}

TEST(Loop, GoesOnWithoutACheckpointThatCannotBeWritten) {
  const TempDir temporary;
  tracker::MemorySink sink;
  LinearProblem problem;
  LinearTask task(problem);
  MadeBatches batches(52, 8);
  graph::StageContext context = stage_context(temporary / "gone", sink);
  Loop loop(linear_options(), problem.state(), problem.trained(), 2, task, batches, {}, context,
            at::kCPU, nullptr);
  std::filesystem::remove_all(context.output);
  loop.run();
  EXPECT_EQ(loop.step(), 21);
  EXPECT_EQ(loop.save_problem().substr(0, 44), "the checkpoint of step 21 was not written: c");
  ASSERT_FALSE(sink.events().empty());
  EXPECT_EQ(sink.events()[0].level, tracker::Level::kError);
}

TEST(Loop, StopsAtALossThatIsNotFinite) {
  const TempDir temporary;
  tracker::NullSink null;
  LinearProblem problem;
  LinearTask task(problem);
  task.broken_step = 9;
  MadeBatches batches(52, 8);
  graph::StageContext context = stage_context(temporary / "nan", null);
  Loop loop(linear_options(), problem.state(), problem.trained(), 2, task, batches, {}, context,
            at::kCPU, nullptr);
  try {
    loop.run();
    FAIL() << "went on";
  } catch (const Error& error) {
    const std::string file = (context.output / "broken-step-000000009.safetensors").string();
    EXPECT_EQ(error.message(),
              "the loss of step 9 (epoch 2) is nan; lr 0.025\n"
              "clips: clip16 clip17 clip18 clip19 clip20 clip21 clip22 clip23\n"
              "the batch is kept: exp evaluate --replay " +
                  file);
    EXPECT_EQ(error.code(), Exit::kFailed);
    const auto kept = checkpoint::Archive::open(file);
    EXPECT_NE(kept.find("x"), nullptr);
    EXPECT_NE(kept.find("weights/weight"), nullptr);
    EXPECT_EQ(kept.metadata().at("exp.step"), "9");
  }
}

/// Trains to the end, passing over steps that are not finite; the steps that were made or passed.
int64_t steps_with_skips(LinearProblem& problem, LinearTask& task,
                         const std::filesystem::path& folder, tracker::RunSink& sink) {
  MadeBatches batches(52, 8);
  LoopOptions options = linear_options();
  options.train.on_nan = schema::OnNan::kSkip;
  graph::StageContext context = stage_context(folder, sink);
  Loop loop(options, problem.state(), problem.trained(), 2, task, batches, {}, context, at::kCPU,
            nullptr);
  loop.run();
  return loop.step();
}

TEST(Loop, SkipsABrokenStepWhenAskedTo) {
  const TempDir temporary;
  tracker::MemorySink sink;
  LinearProblem problem;
  LinearTask task(problem);
  task.broken_step = 4;
  EXPECT_EQ(steps_with_skips(problem, task, temporary / "skip", sink), 21);
  EXPECT_TRUE(problem.weight.isfinite().all().item<bool>());
  ASSERT_EQ(sink.events().size(), 1U);
  EXPECT_EQ(sink.events()[0].text, "step 4: the loss is not finite; skipped");
}

TEST(Loop, MicroBatchesMakeTheSameStep) {
  const TempDir temporary;
  tracker::NullSink null;
  std::vector<at::Tensor> ends;
  for (const int64_t micro : {0, 3, 1}) {
    LinearProblem problem;
    LinearTask task(problem);
    MadeBatches batches(52, 8);
    LoopOptions options = linear_options();
    options.micro_batch = micro;
    options.train.clip_norm = 0.5;
    graph::StageContext context = stage_context(temporary / std::to_string(micro), null);
    Loop loop(options, problem.state(), problem.trained(), 2, task, batches, {}, context, at::kCPU,
              nullptr);
    loop.run();
    ends.push_back(problem.weight.detach().clone());
  }
  EXPECT_TRUE(at::allclose(ends[1], ends[0], 1e-5, 1e-6));
  EXPECT_TRUE(at::allclose(ends[2], ends[0], 1e-5, 1e-6));
}

TEST(Loop, SavesAndThrowsWhenAskedToStop) {
  const TempDir temporary;
  tracker::NullSink null;
  LinearProblem problem;
  LinearTask task(problem);
  MadeBatches batches(52, 8);
  graph::StageContext context = stage_context(temporary / "stop", null);
  int asked = 0;
  context.stop_requested = [&] {
    return ++asked >= 5 ? StopReason::kPreempted : StopReason::kNone;
  };
  Loop loop(linear_options(), problem.state(), problem.trained(), 2, task, batches, {}, context,
            at::kCPU, nullptr);
  EXPECT_THROW(loop.run(), Stopped);
  const auto saved = CheckpointFolder(context.output).load([](std::string_view) {});
  ASSERT_TRUE(saved.has_value());
  EXPECT_EQ(saved->step, 5);
}

TEST(Loop, AGradientThatIsNotFiniteChangesNothing) {
  const TempDir temporary;
  tracker::MemorySink sink;
  LinearProblem problem;
  LinearTask task(problem);
  task.steep_step = 4;
  steps_with_skips(problem, task, temporary / "skip", sink);
  EXPECT_TRUE(problem.weight.isfinite().all().item<bool>());
  ASSERT_EQ(sink.events().size(), 1U) << "the steps after it are steps";
  EXPECT_EQ(sink.events()[0].text, "step 4: the gradient is not finite; skipped");

  LinearProblem other;
  LinearTask again(other);
  again.steep_step = 4;
  MadeBatches batches(52, 8);
  graph::StageContext stopped = stage_context(temporary / "stop", sink);
  Loop second(linear_options(), other.state(), other.trained(), 2, again, batches, {}, stopped,
              at::kCPU, nullptr);
  try {
    second.run();
    FAIL() << "trained on";
  } catch (const Error& error) {
    EXPECT_TRUE(error.message().starts_with("the gradient of step 4 (epoch 1) is not finite; lr "))
        << error.message();
  }
  EXPECT_TRUE(other.weight.isfinite().all().item<bool>()) << "the weights that are kept";
}

/// Asked to stop while it looks at the epoch's result.
class StoppedHook final : public Hook {
 public:
  explicit StoppedHook(int64_t at) : at_(at) {}
  std::string name() const override { return "stopped"; }
  void after_epoch(Loop& loop) override {
    if (loop.epoch() == at_) throw Stopped(StopReason::kPreempted);
    seen.push_back(loop.epoch());
  }
  std::vector<int64_t> seen;

 private:
  int64_t at_;
};

/// Counts epochs in its state: seen twice or never, one shows.
class CountHook final : public Hook {
 public:
  std::string name() const override { return "count"; }
  void after_epoch(Loop&) override { ++count; }
  State state() const override {
    State state;
    state.facts["count"] = count;
    return state;
  }
  void load(const State& state) override { count = state.integer("count"); }
  int64_t count = 0;
};

// The steps of the epoch are not lost, and no hook sees its end twice.
TEST(Loop, AStopInValidationKeepsTheEpoch) {
  for (const int64_t at : {1, 3}) {
    SCOPED_TRACE(at);
    const TempDir temporary;
    tracker::NullSink null;
    const auto train = [&](int64_t stop_at, const std::string& name, LinearProblem& problem,
                           CountHook& before, StoppedHook& stopped) {
      LinearTask task(problem);
      MadeBatches batches(52, 8);
      graph::StageContext context = stage_context(temporary / name, null);
      Loop loop(linear_options(), problem.state(), problem.trained(), 2, task, batches,
                {&before, &stopped}, context, at::kCPU, nullptr);
      const auto saved = CheckpointFolder(context.output).load([](std::string_view) {});
      if (saved) {
        EXPECT_EQ(saved->step, at * 7) << "where it was stopped";
        loop.load(saved->states);
      }
      if (stop_at > 0)
        EXPECT_THROW(loop.run(), Stopped);
      else
        loop.run();
    };
    LinearProblem whole, first, second;
    CountHook counts[3];
    StoppedHook never(0), once(at), then(0);
    train(0, "whole", whole, counts[0], never);
    train(at, "cut", first, counts[1], once);
    train(0, "cut", second, counts[2], then);
    EXPECT_TRUE(at::equal(second.weight, whole.weight));
    EXPECT_EQ(counts[2].count, 3);
    std::vector<int64_t> seen = once.seen;
    seen.insert(seen.end(), then.seen.begin(), then.seen.end());
    EXPECT_EQ(seen, (std::vector<int64_t>{1, 2, 3}));
  }
}

// What is kept or profiled is not part of a stage's key: a checkpoint may be older than the wish.
TEST(Loop, AHookWithoutAStateMayBeNew) {
  class Plain final : public Hook {
   public:
    std::string name() const override { return "plain"; }
  };
  const TempDir temporary;
  tracker::NullSink null;
  LinearProblem problem;
  LinearTask task(problem);
  MadeBatches batches(52, 8);
  graph::StageContext context = stage_context(temporary / "run", null);
  Loop before(linear_options(), problem.state(), problem.trained(), 2, task, batches, {}, context,
              at::kCPU, nullptr);
  const States states = before.states();
  Plain plain;
  CountHook count;
  Loop with(linear_options(), problem.state(), problem.trained(), 2, task, batches, {&plain},
            context, at::kCPU, nullptr);
  EXPECT_NO_THROW(with.load(states));
  Loop other(linear_options(), problem.state(), problem.trained(), 2, task, batches, {&count},
             context, at::kCPU, nullptr);
  EXPECT_THROW(other.load(states), Error);
}

struct Ranks {
  int size;
  int64_t clips;  ///< an epoch, in batches of 8
  bool recompute;
};

class LoopDist : public ::testing::TestWithParam<Ranks> {};

TEST_P(LoopDist, RanksEndWhereOneRankDoes) {
  const int size = GetParam().size;
  const TempDir temporary;
  const auto train = [&](LinearProblem& problem, int rank, int world, dist::Group* group,
                         const std::filesystem::path& folder) {
    tracker::NullSink null;
    LinearTask task(problem);
    MadeBatches batches(GetParam().clips, 8, rank, world);
    LoopOptions options = linear_options();
    options.train.activation_checkpointing = GetParam().recompute;
    graph::StageContext context = stage_context(folder, null);
    LogHook log(null);
    Loop loop(options, problem.state(), problem.trained(), 2, task, batches, {&log}, context,
              at::kCPU, group);
    loop.run();
  };
  LinearProblem alone;
  train(alone, 0, 1, nullptr, temporary / "alone");
  std::vector<LinearProblem> problems(static_cast<size_t>(size));
  const auto rendezvous = dist::Rendezvous::in_process();
  std::vector<std::string> errors(static_cast<size_t>(size));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank)
    threads.emplace_back([&, rank] {
      try {
        const auto group = dist::Group::make(*rendezvous, "test", rank, size, at::kCPU);
        train(problems[static_cast<size_t>(rank)], rank, size, group.get(),
              temporary / ("rank" + std::to_string(rank)));
        group->barrier();
      } catch (const std::exception& error) {
        errors[static_cast<size_t>(rank)] = error.what();
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (int rank = 0; rank < size; ++rank) {
    SCOPED_TRACE(rank);
    const auto& problem = problems[static_cast<size_t>(rank)];
    EXPECT_EQ(errors[static_cast<size_t>(rank)], "");
    EXPECT_TRUE(at::equal(problem.weight, problems[0].weight));
    EXPECT_TRUE(at::allclose(problem.weight, alone.weight, 1e-4, 1e-5));
    EXPECT_EQ(std::filesystem::exists(temporary / ("rank" + std::to_string(rank)) /
                                      "state-000000021.json"),
              rank == 0);
  }
}

// Of 49 clips the last batch has one: all ranks but one have none of it.
INSTANTIATE_TEST_SUITE_P(Ranks, LoopDist,
                         ::testing::Values(Ranks{2, 53, false}, Ranks{4, 53, false},
                                           Ranks{2, 49, false}, Ranks{4, 49, false},
                                           Ranks{2, 53, true}, Ranks{4, 49, true}));

}  // namespace
}  // namespace xp::train
