// The world's faults in the middle of a training: data, memory and disk.
#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <new>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/evaluate/predict.h"
#include "core/evaluate/run.h"
#include "core/train/checkpoint_folder.h"
#include "core/train/run.h"
#include "tests/train/loop_fixture.h"
#include "tests/train/stages_fixture.h"

namespace xp::train {
namespace {

using namespace fixture;
namespace fs = std::filesystem;

class FaultsIntegration : public Stages {};

/// Does something when it is told its `points`-th point.
class ActingSink final : public tracker::RunSink {
 public:
  using RunSink::metric;
  ActingSink(int points, std::function<void()> act) : left_(points), act_(std::move(act)) {}
  tracker::MetricId metric(std::string_view, tracker::Unit, tracker::Grain) override {
    return tracker::MetricId{0};
  }
  void log(tracker::MetricId, int64_t, double) noexcept override {
    if (--left_ == 0) act_();
  }
  void resumed(int64_t, int64_t) override {}
  void artifact(tracker::Kind, const fs::path&, int64_t) override {}
  void event(tracker::Level, std::string_view) noexcept override {}
  void finished(tracker::Outcome, std::string_view) override {}

 private:
  std::atomic<int> left_;
  std::function<void()> act_;
};

void flip_bits(const fs::path& file) {
  std::string bytes = read_file(file);
  // The sound is by far the largest part; tables stand at both ends.
  for (size_t at = bytes.size() / 4; at < bytes.size() * 3 / 4; ++at) bytes[at] ^= 0x55;
  std::fstream(file, std::ios::in | std::ios::out | std::ios::binary)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

TEST_F(FaultsIntegration, AShardGoesBadInMidEpoch) {
  schema::TrainStageOptions options = small_training();
  options.train.epochs = 3;
  tracker::NullSink null;
  graph::StageContext whole = stage("whole", null);
  run_train(options, whole);

  const fs::path good = *folder_ / "prepare";
  const fs::path data = *folder_ / "rotten";
  fs::copy(good, data, fs::copy_options::recursive);
  fs::path shard;
  for (const auto& entry : fs::directory_iterator(data))
    if (entry.path().extension() == ".h5") shard = entry.path();
  // Some two dozen points of the first epoch, then one of the second; the loader is three batches
  // ahead of five.
  ActingSink sink(30, [&] { flip_bits(shard); });
  graph::StageContext context = stage("interrupted", sink);
  context.inputs.front().path = data;
  std::string message;
  try {
    run_train(options, context);
  } catch (const Error& error) {
    message = error.message();
    EXPECT_EQ(error.code(), Exit::kData);
  }
  EXPECT_NE(message.find(shard.string()), std::string::npos) << message;
  EXPECT_NE(message.find("its checksum differs; run `exp data verify`"), std::string::npos)
      << message;
  const auto saved = CheckpointFolder(context.output).load([](std::string_view) {});
  ASSERT_TRUE(saved.has_value());
  EXPECT_GE(saved->step, 5);

  context.sink = &null;
  context.inputs.front().path = good;  // what the graph makes again
  run_train(options, context);
  EXPECT_EQ(bytes_of_weights(context.output / "last.safetensors"),
            bytes_of_weights(whole.output / "last.safetensors"));
}

/// A disk that takes no file above `bytes`, for a child process: what a full one says, without the
/// right to mount one.
int in_child_with_small_files(rlim_t bytes, const std::function<int()>& work) {
  const pid_t child = fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{bytes, bytes};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(99);
    int code = 98;
    try {
      code = work();
    } catch (...) {
    }
    _exit(code);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 97;
}

TEST_F(FaultsIntegration, AFullDiskAtCheckpointTime) {
  schema::TrainStageOptions options = small_training();
  options.train.keep = {"last"};
  options.averaging.kind = schema::AveragingKind::kNone;
  tracker::NullSink null;
  graph::StageContext whole = stage("whole_disk", null);
  run_train(options, whole);
  const auto weights = fs::file_size(whole.output / "last.safetensors");

  graph::StageContext context = stage("full_disk", null);
  const fs::path said = *folder_ / "said.txt";
  // The weights find room; a full state, with the optimiser's two moments, does not.
  const int code = in_child_with_small_files(weights * 2, [&] {
    std::ofstream lines(said);
    context.say = [&](std::string_view line) { lines << line << std::endl; };
    try {
      run_train(options, context);
    } catch (const Error& error) {
      lines << "ends: " << error.message() << std::endl;
      return static_cast<int>(error.code());
    }
    return 0;
  });
  EXPECT_EQ(code, static_cast<int>(Exit::kFailed));
  const std::string text = read_file(said);
  EXPECT_NE(text.find("WARNING: the checkpoint of step 5 was not written: "), std::string::npos)
      << text;
  EXPECT_NE(text.find("; training goes on\n"), std::string::npos) << text;
  EXPECT_NE(text.find("ends: the checkpoint of step 10 was not written: "), std::string::npos)
      << text;
  // It went on to its end all the same, and nothing half-written is left.
  EXPECT_EQ(bytes_of_weights(context.output / "last.safetensors"),
            bytes_of_weights(whole.output / "last.safetensors"));
  for (const auto& entry : fs::directory_iterator(context.output))
    EXPECT_FALSE(entry.path().filename().string().starts_with("state-")) << entry.path();

  run_train(options, context);  // with room again
  EXPECT_EQ(bytes_of_weights(context.output / "last.safetensors"),
            bytes_of_weights(whole.output / "last.safetensors"));
}

/// Has memory for `most` clips at a time.
class GreedyTask final : public Task {
 public:
  GreedyTask(Task& task, int64_t most) : task_(task), most_(most) {}
  void begin(const data::Batch& batch, const Place& place) override { task_.begin(batch, place); }
  std::vector<std::string> parts() const override { return task_.parts(); }
  Loss loss(int64_t first, int64_t count) override {
    if (count > most_) throw std::bad_alloc();
    return task_.loss(first, count);
  }
  State evidence() const override { return task_.evidence(); }

 private:
  Task& task_;
  int64_t most_;
};

TEST(OutOfMemory, SmallerPiecesOrWhatToLower) {
  const xp::testing::TempDir temporary;
  tracker::NullSink null;
  const auto train = [&](int64_t most, int64_t micro_batch, std::vector<std::string>& said) {
    LinearProblem problem;
    LinearTask linear(problem);
    GreedyTask task(linear, most);
    MadeBatches batches(52, 8);
    LoopOptions options = linear_options();
    options.micro_batch = micro_batch;
    graph::StageContext context =
        stage_context(temporary / fmt::format("{}-{}", most, micro_batch), null);
    context.say = [&said](std::string_view line) { said.emplace_back(line); };
    Loop loop(options, problem.state(), problem.trained(), 2, task, batches, {}, context, at::kCPU,
              nullptr);
    loop.run();
    return problem.weight.detach().clone();
  };
  std::vector<std::string> said, none;
  const at::Tensor halved = train(3, 0, said);
  EXPECT_EQ(said,
            (std::vector<std::string>{"out of memory with 8 clips at a time: 4 from now on",
                                      "out of memory with 4 clips at a time: 2 from now on"}));
  EXPECT_TRUE(at::equal(halved, train(8, 2, none)));
  EXPECT_TRUE(none.empty());
  const auto message = [&](int64_t most, int64_t micro_batch) {
    try {
      train(most, micro_batch, none);
    } catch (const Error& error) {
      return error.message();
    }
    return std::string("trained");
  };
  EXPECT_EQ(message(3, 4),
            "out of memory in step 0 with 4 clips at a time: lower train.micro_batch, or set "
            "train.activation_checkpointing = true");
  EXPECT_EQ(message(0, 0),
            "out of memory in step 0 with 1 clips at a time: lower train.micro_batch, or set "
            "train.activation_checkpointing = true");
}

/// Scores a clip by its mean; has memory for `most` clips.
class GreedyModel final : public model::Model {
 public:
  explicit GreedyModel(int64_t most) : most_(most) {}
  model::Output forward(const model::Input& input, const model::Pass&) const override {
    const at::Tensor& mel = input.spectrograms.mel;
    if (mel.size(0) > most_) throw std::bad_alloc();
    model::Output output;
    output.logits = mel.mean({1, 2}).unsqueeze(1) * at::arange(3);
    return output;
  }
  int64_t embedding_size() const override { return 1; }
  int64_t classes() const override { return 3; }
  model::Placement placement(std::string_view) const override { return {}; }
  int64_t layers() const override { return 2; }

 private:
  void members(model::Members&) override {}
  int64_t most_;
};

TEST_F(FaultsIntegration, AnEvaluationTakesSmallerPieces) {
  tracker::NullSink null;
  const graph::StageContext context = stage("pieces", null);
  const batches::Clips clips = batches::open_clips(context, small_set());
  const frontend::Frontend frontend(small_frontend(), {});
  const std::vector<uint32_t> rows = clips.rows("test");
  const auto scores = [&](int64_t most) {
    const GreedyModel model(most);
    evaluate::PredictOptions how;
    how.batch_size = 8;
    return evaluate::predict({&model}, frontend, small_frontend(), clips, rows, how).logits;
  };
  EXPECT_TRUE(at::allclose(scores(3), scores(8)));
  try {
    scores(0);
    FAIL() << "scored";
  } catch (const Error& error) {
    EXPECT_EQ(error.message(),
              "out of memory with a single clip: eval.window_s scores long clips in windows, a "
              "larger tome.r or stride makes fewer tokens");
  }
}

}  // namespace
}  // namespace xp::train
