#include "tracker/provenance.h"

#include <cstdlib>
#include <fstream>
#include <thread>

#include <gtest/gtest.h>

#include "core/base/files.h"
#include "tests/testing/shell.h"
#include "tests/testing/temp_dir.h"
#include "tests/tracker/make_run.h"
#include "tracker/command.h"

namespace xp::tracker {
namespace {

namespace fs = std::filesystem;

TEST(Provenance, EnvironmentIsAListAndNeverASecret) {
  for (const char* name :
       {"CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "NCCL_DEBUG", "EXP_DATA", "RANK"}) {
    EXPECT_TRUE(environment_is_recorded(name)) << name;
  }
  for (const char* name : {"PATH", "HOME", "AWS_SECRET_ACCESS_KEY", "EXP_API_TOKEN", "EXP_PASSWORD",
                           "EXP_KEY", "NCCL_AUTH", "SLURM_JWT", "WANDB_API_KEY", "exp_data",
                           "SSH_AUTH_SOCK", "EXP_Credentials"}) {
    EXPECT_FALSE(environment_is_recorded(name)) << name;
  }
  EXPECT_EQ(without_credentials("https://me:pw@host/x,http://a@b"), "https://host/x,http://b");
  EXPECT_EQ(without_credentials("/plain/path@2"), "/plain/path@2");
  EXPECT_EQ(without_credentials("http://host/a@b"), "http://host/a@b");

  ::setenv("EXP_TEST_PLAIN", "s3://u:geheim@bucket", 1);
  ::setenv("EXP_TEST_TOKEN", "geheim", 1);
  ::setenv("OTHER_SECRET", "geheim", 1);
  ::setenv("SLURM_JOB_ID", "77", 1);
  const testing::TempDir dir;
  const Provenance found = collect_provenance(dir.path());
  ::unsetenv("EXP_TEST_PLAIN");
  ::unsetenv("EXP_TEST_TOKEN");
  ::unsetenv("OTHER_SECRET");
  ::unsetenv("SLURM_JOB_ID");
  EXPECT_EQ(found.facts.at("env.EXP_TEST_PLAIN"), "s3://bucket");
  EXPECT_EQ(found.facts.at("slurm.job_id"), "77");
  for (const auto& [key, value] : found.facts)
    EXPECT_EQ(value.find("geheim"), std::string::npos) << key;
  EXPECT_FALSE(found.facts.at("host.cpu").empty());
  EXPECT_EQ(found.facts.count("git.commit"), 0u) << "not under git";
}

TEST(Provenance, BuildIdIsThatOfTheLinker) { EXPECT_EQ(build_id().size(), 40u); }

TEST(Provenance, SourceStateIsCommitDiffAndUntrackedRecipes) {
  const testing::TempDir dir;
  const std::string git = "git -C '" + dir.path().string() + "' -c user.name=t -c user.email=t@t ";
  std::ofstream(dir / "a.toml") << "x = 1\n";
  const auto made =
      testing::shell(git + "init -q -b main && " + git + "add . && " + git + "commit -q -m one");
  if (made.code != 0) GTEST_SKIP() << "no git here: " << made.text;
  std::ofstream(dir / "a.toml") << "x = 2\n";
  fs::create_directories(dir / "sub");
  std::ofstream(dir / "sub/new.toml") << "y = 1\n";
  std::ofstream(dir / "weights.pt") << "binary";
  std::ofstream(dir / "large.csv") << std::string(kUntrackedFileBytes + 1, 'x');
  std::ofstream(dir / ".gitignore") << "ignored.toml\n";
  std::ofstream(dir / "ignored.toml") << "z = 1\n";
  fs::create_directories(dir / "sub/.exp/runs/one");
  std::ofstream(dir / "sub/.exp/runs/one/recipe.toml") << "what exp itself wrote\n";

  const SourceState state = source_state(dir / "sub");
  EXPECT_EQ(fs::canonical(state.root), fs::canonical(dir.path()));
  EXPECT_EQ(state.commit.size(), 40u);
  EXPECT_EQ(state.branch, "main");
  EXPECT_NE(state.diff.find("-x = 1\n+x = 2\n"), std::string::npos);
  EXPECT_EQ(state.untracked, std::vector<std::string>{"sub/new.toml"});
  EXPECT_EQ(state.left_out, (std::vector<std::string>{".gitignore", "large.csv", "weights.pt"}));
  EXPECT_TRUE(state.dirty());

  save_source_state(state, dir / "saved");
  EXPECT_EQ(read_file(dir / "saved/commit"), state.commit + "\n");
  EXPECT_EQ(read_file(dir / "saved/diff.patch"), state.diff);
  EXPECT_EQ(read_file(dir / "saved/untracked/sub/new.toml"), "y = 1\n");
  EXPECT_EQ(read_file(dir / "saved/left_out.txt"), ".gitignore\nlarge.csv\nweights.pt\n");
}

TEST(Provenance, RunKeepsItsFacts) {
  const testing::TempDir dir;
  RunOptions options;
  options.system = std::chrono::milliseconds(20);
  options.versions = {"libtorch=2.11.0"};
  options.source = dir.path();
  Store store(dir / ".exp");
  auto run = store.create(testing_runs::sample("p", 0), options);
  run->note_fact("model.params", "86.9 M");
  std::this_thread::sleep_for(std::chrono::milliseconds(150));
  run->finish(Outcome::kDone, "", "", 0);
  Query query(dir / ".exp");
  const RunDetail detail = query.detail(run->uid());
  EXPECT_EQ(detail.facts.at("version.libtorch"), "2.11.0");
  EXPECT_EQ(detail.facts.at("model.params"), "86.9 M");
  EXPECT_EQ(detail.facts.count("tracker.writer_cpu_s"), 1u);
  const RunInfo info = query.run(run->uid());
  EXPECT_GT(info.metrics.at("system.rss_mb").last, 1);
  EXPECT_EQ(info.metrics.at("system.cpu_cores").grain, Grain::kTime);
}

TEST(Command, OutputLimitAndFailure) {
  using std::chrono::milliseconds;
  EXPECT_EQ(output_of({"echo", "a b"}, milliseconds(5000), 100), "a b\n");
  EXPECT_EQ(output_of({"false"}, milliseconds(5000), 100), std::nullopt);
  EXPECT_EQ(output_of({"no-such-program-here"}, milliseconds(5000), 100), std::nullopt);
  EXPECT_EQ(output_of({"sleep", "20"}, milliseconds(50), 100), std::nullopt);
  EXPECT_EQ(output_of({"yes"}, milliseconds(5000), 1000), std::nullopt);
}

}  // namespace
}  // namespace xp::tracker
