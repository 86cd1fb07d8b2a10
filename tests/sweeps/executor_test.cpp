// The executors: slots of a machine, workers as processes, Slurm by scripted fakes and for real.
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <thread>

#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/stop.h"
#include "sweeps/command.h"
#include "sweeps/drive.h"
#include "sweeps/local.h"
#include "sweeps/slurm.h"
#include "sweeps/work.h"
#include "tests/testing/local_slurm.h"
#include "tests/testing/shell.h"
#include "tests/testing/temp_dir.h"

namespace xp::sweeps {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

TEST(Slots, CoresAreSharedOut) {
  const auto slots = make_slots({8, uint64_t{16} << 30, {}}, 3, "", 0);
  ASSERT_EQ(slots.size(), 3U);
  for (const Slot& slot : slots) {
    EXPECT_EQ(slot.flags, (Words{"--threads", "2"}));
    EXPECT_TRUE(slot.environment.empty());
  }
  EXPECT_EQ(make_slots({2, 0, {}}, 2, "", 0)[0].flags, (Words{"--threads", "1"}));
  EXPECT_EQ(make_slots({2, 0, {}}, 0, "", 0).size(), 1U);
}

TEST(Slots, GpusAreGivenOutByTheirUuid) {
  const Machine machine{16, uint64_t{64} << 30, {"GPU-aa", "GPU-bb"}};
  auto slots = make_slots(machine, 0, "", 0);
  ASSERT_EQ(slots.size(), 2U);
  EXPECT_EQ(slots[1].name, "GPU-bb");
  EXPECT_EQ(slots[1].environment[0].second, "GPU-bb");
  EXPECT_EQ(slots[1].flags, (Words{"--threads", "8", "--devices", "1"}));
  slots = make_slots(machine, 4, "", 0);
  EXPECT_EQ(slots[3].name, "GPU-bb") << "two a GPU";
  EXPECT_EQ(make_slots(machine, 2, "cpu", 0)[0].flags,
            (Words{"--threads", "8", "--devices", "cpu"}));
}

TEST(Slots, MemoryLimitsTheirNumber) {
  const Machine machine{8, uint64_t{8} << 30, {}};
  EXPECT_EQ(make_slots(machine, 4, "", 3000).size(), 2U);
  EXPECT_EQ(make_slots(machine, 4, "", 30000).size(), 1U) << "one is always tried";
  EXPECT_EQ(make_slots(machine, 4, "", 100).size(), 4U);
}

SweepSpec fake_spec() {
  SweepSpec out;
  out.id = "01J0000000000000000000WXYZ";
  out.name = "pretend";
  out.recipe = "/r.toml";
  out.params = {{"tome.r", "0:64:8"}};
  return out;
}

std::vector<Trial> fake_trials(int n, int bundle_size) {
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

class ExecutorTest : public ::testing::Test {
 protected:
  ExecutorTest() : db_(SweepDb::create(dir_ / "sweep", fake_spec())) {
    set("XP_FAKE_SWEEP", (dir_ / "sweep").string());
    // exp-compute sweeps work ID [--trial N --job J] ...
    script(dir_ / "exp-compute",
           "while [ $# -gt 0 ]; do\n"
           "  case $1 in --trial) export XP_FAKE_TRIAL=$2;; --job) export XP_FAKE_JOB=$2;; esac\n"
           "  shift\n"
           "done\n"
           "exec " +
               fs::read_symlink("/proc/self/exe").string() + " --fake-worker");
  }
  ~ExecutorTest() override {
    for (const std::string& name : set_) ::unsetenv(name.c_str());
  }
  void set(const std::string& name, const std::string& value) {
    ::setenv(name.c_str(), value.c_str(), 1);
    set_.push_back(name);
  }
  static void script(const fs::path& file, const std::string& text) {
    std::ofstream(file) << "#!/bin/bash\n" + text + "\n";
    fs::permissions(file, fs::perms::owner_all);
  }

  testing::TempDir dir_;
  SweepDb db_;
  std::vector<std::string> set_;
};

class LocalExecutorIntegration : public ExecutorTest {
 protected:
  Driven run(int jobs) {
    LocalOptions options;
    options.command = {(dir_ / "exp-compute").string(), "sweeps", "work", fake_spec().id};
    options.slots = make_slots({2, 0, {}}, jobs, "", 0);
    options.logs = dir_ / "workers";
    options.locks = dir_ / "slots";
    LocalExecutor executor(db_, options);
    return drive(db_, executor, {});
  }
};

TEST_F(LocalExecutorIntegration, WorksASweepOff) {
  db_.add(fake_trials(9, 3), false);
  const Driven driven = run(2);
  EXPECT_EQ(driven.counts.done, 9);
  EXPECT_EQ(driven.halted, "");
}

TEST_F(LocalExecutorIntegration, AWorkerThatDiesIsReplaced) {
  set("XP_FAKE_HOW", "die once");
  db_.add(fake_trials(3, 3), false);
  EXPECT_EQ(run(1).counts.done, 3);
  for (const Trial& trial : db_.trials(true)) EXPECT_EQ(trial.tries, 2);
}

TEST_F(LocalExecutorIntegration, WorkersThatCannotStartEndTheCommand) {
  set("XP_FAKE_HOW", "cannot start");
  db_.add(fake_trials(3, 3), false);
  EXPECT_THROW(run(1), Error);
  EXPECT_EQ(db_.counts().queued, 3);
}

TEST(SlurmScript, ReadsLikeWrittenByHand) {
  SlurmOptions options;
  options.program = "/ws/.exp/frozen/0123/exp-compute";
  options.workspace = "/ws";
  options.lines = {"--partition=gpu", "--gres=gpu:1"};
  options.at_once = 4;
  EXPECT_EQ(
      job_script(options, fake_spec(), "/ws/.exp/sweeps/01J0000000000000000000WXYZ", {1, 4, 7}),
      R"(#!/bin/bash
#SBATCH --job-name=exp-0000WXYZ
#SBATCH --array=1,4,7%4
#SBATCH --chdir=/ws
#SBATCH --output=/ws/.exp/sweeps/01J0000000000000000000WXYZ/slurm/%A_%a.log
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=USR2@120
#SBATCH --partition=gpu
#SBATCH --gres=gpu:1

# Sweep 01J0000000000000000000WXYZ (pretend): one task for each bundle of trials, named by the bundle's first trial.
# What is to be done stands in /ws/.exp/sweeps/01J0000000000000000000WXYZ/sweep.db, together with the recipe as it was.
# Exit code 75: preempted or out of time, with a checkpoint. The same task goes on from there.
task="${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"
trap : TERM USR2    # the step saves a checkpoint; this script waits for it
# Threads that wait do not keep the cores from those that work.
[ -n "${OMP_WAIT_POLICY:-}" ] || export GOMP_SPINCOUNT="${GOMP_SPINCOUNT:-1000}"
srun --ntasks=1 /ws/.exp/frozen/0123/exp-compute sweeps work 01J0000000000000000000WXYZ \
  --trial "$SLURM_ARRAY_TASK_ID" --job "$task" --threads "${SLURM_CPUS_PER_TASK:-1}"
code=$?
echo "$code" > /ws/.exp/sweeps/01J0000000000000000000WXYZ/slurm/"$task".exit
# What Slurm ends by itself is not started again: scancel, or a preemption that requeues.
case " $(scontrol show job -o "$task" 2> /dev/null) " in
  *" JobState=RUNNING "* | *" Reason=TimeLimit "* | "  ") goes_on=yes ;;
  *) goes_on=no ;;
esac
if [ "$code" -eq 75 ] && [ "$goes_on" = yes ] && [ "${SLURM_RESTART_COUNT:-0}" -lt 20 ]; then
  scontrol requeue "$task" && sleep 60    # Slurm ends this script and starts it again
fi
exit "$code"
)");
}

// Shell code in a name, a path or an option is what it is: text.
TEST(SlurmScript, NothingOfARecipeOrAPathIsACommand) {
  testing::TempDir dir;
  const std::string mark = (dir / "started").string();
  SweepSpec spec = fake_spec();
  spec.name = "a\ntouch " + mark + "\n#";
  SlurmOptions options;
  options.program = dir / ("it's $(touch " + fs::path(mark).filename().string() + ") `x`.sh");
  std::ofstream(options.program) << "#!/bin/sh\nprintf '%s\\n' \"$0\" \"$@\" > '"
                                 << (dir / "ran").string() << "'\n";
  fs::permissions(options.program, fs::perms::owner_all);
  options.workspace = "/w s/$(touch " + mark + ") \"#;";
  options.lines = {"--comment=$(touch " + mark + "); 'x' #", "-p gpu", "--exclusive"};
  const fs::path folder = dir / "sweep `touch started` 100%'s";
  fs::create_directories(folder / "slurm");
  const std::string script = job_script(options, spec, folder, {1});
  std::ofstream(dir / "job.sh") << script;
  // sbatch reads its lines with the shell's quotes, and acts on nothing else in them.
  std::vector<std::string> words;
  size_t at = 0;
  while ((at = script.find("#SBATCH ", at)) != std::string::npos) {
    const std::string line = script.substr(at + 8, script.find('\n', at) - at - 8);
    words.push_back(
        testing::shell(fmt::format("cd '{}'; printf '%s|' {}", dir.path().string(), line)).text);
    at += 8;
  }
  const auto has = [&](const std::string& word) {
    return std::find(words.begin(), words.end(), word + "|") != words.end();
  };
  EXPECT_TRUE(has("--chdir=" + options.workspace.string())) << script;
  EXPECT_TRUE(has("--comment=$(touch " + mark + "); 'x' #")) << script;
  EXPECT_TRUE(std::find(words.begin(), words.end(), "-p|gpu|") != words.end()) << script;
  EXPECT_TRUE(has("--output=" + (dir / "sweep `touch started` 100%%'s/slurm/%A_%a.log").string()))
      << script;
  const auto ran =
      testing::shell(fmt::format("cd '{}' && srun() {{ shift; \"$@\"; }} && scontrol() {{ :; }} && "
                                 "SLURM_ARRAY_JOB_ID=9 SLURM_ARRAY_TASK_ID=1 && . ./job.sh",
                                 dir.path().string()));
  EXPECT_EQ(ran.code, 0) << ran.text;
  EXPECT_EQ(read_file(dir / "ran").find(options.program.string() + "\nsweeps\nwork\n"), 0U);
  EXPECT_EQ(read_file(folder / "slurm" / "9_1.exit"), "0\n");
  EXPECT_FALSE(fs::exists(mark));
}

TEST(SlurmScript, WhatSbatchCannotTakeIsRefused) {
  SlurmOptions options;
  options.program = "/p";
  options.workspace = "/ws\n#SBATCH --wrap=x";
  EXPECT_THROW(job_script(options, fake_spec(), "/f", {1}), Error);
  options.workspace = "/ws";
  for (const char* line : {"--comment=a\nrm x", "partition=gpu", "--a$(x)=1", "; touch x"}) {
    options.lines = {line};
    EXPECT_THROW(job_script(options, fake_spec(), "/f", {1}), Error) << line;
  }
}

TEST(SlurmScript, AnswersAreRead) {
  const auto states = parse_squeue("12_1|PENDING|Priority\n12_4|RUNNING|None\nnoise\n");
  ASSERT_EQ(states.size(), 2U);
  EXPECT_EQ(states.at("12_1").reason, "Priority");
  EXPECT_FALSE(states.at("12_4").over());
  const TaskState ended =
      parse_scontrol("JobId=14 ArrayJobId=12 JobState=TIMEOUT Reason=TimeLimit Dependency=(null)");
  EXPECT_EQ(ended.state, "TIMEOUT");
  EXPECT_TRUE(ended.over());
  EXPECT_TRUE(parse_scontrol("slurm_load_jobs error: Invalid job id specified").over());
  const TaskState taken = parse_scontrol("Job 1_3 not found");
  EXPECT_TRUE(taken.over());
  EXPECT_EQ(taken.reason, TaskState::kNotFound);
  EXPECT_TRUE(parse_scontrol("JobId=3 JobState=CANCELLED Reason=None").cancelled());
}

TEST(SlurmScript, AProgramIsFrozenByItsContent) {
  testing::TempDir dir;
  std::ofstream(dir / "exp-compute") << "one";
  const fs::path first = freeze_program(dir / "exp-compute", dir / "frozen");
  EXPECT_EQ(freeze_program(dir / "exp-compute", dir / "frozen"), first);
  std::ofstream(dir / "exp-compute") << "two";
  EXPECT_NE(freeze_program(dir / "exp-compute", dir / "frozen"), first);
  EXPECT_EQ(read_file(first), "one");
}

// A cluster of a few scripts: sbatch starts every task of an array at once, in the background.
class FakeSlurmIntegration : public ExecutorTest {
 protected:
  FakeSlurmIntegration() {
    fs::create_directories(dir_ / "bin");
    const std::string home = dir_.path().string();
    script(dir_ / "bin" / "sbatch",
           "[ \"$1\" = --version ] && exit 0\n"
           "cd " +
               home +
               "\n"
               "job=$(( $(cat job 2>/dev/null || echo 99) + 1 )); echo $job > job\n"
               "script=${@: -1}\n"
               "log=$(sed -n 's/^#SBATCH --output=//p' $script)\n"
               "for task in $(sed -n 's/^#SBATCH --array=\\([0-9,]*\\).*/\\1/p' $script | tr , ' "
               "'); do\n"
               "  echo RUNNING > state.${job}_$task; echo $script > script.${job}_$task\n"
               "  SLURM_ARRAY_JOB_ID=$job SLURM_ARRAY_TASK_ID=$task setsid " +
               home +
               "/bin/task </dev/null >/dev/null 2>&1 &\n"
               "done\n"
               "echo $job");
    script(
        dir_ / "bin" / "task",
        "cd " + home +
            "\n"
            "id=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID\n"
            "while :; do\n"
            "  rm -f again.$id\n"
            "  bash $(cat script.$id); code=$?\n"
            "  [ -e again.$id ] || break\n"
            "  export SLURM_RESTART_COUNT=$(( ${SLURM_RESTART_COUNT:-0} + 1 ))\n"
            "done\n"
            "[ \"$(cat state.$id)\" = CANCELLED ] && exit\n"
            "if [ $code = 0 ]; then echo COMPLETED > state.$id; else echo FAILED > state.$id; fi");
    script(dir_ / "bin" / "srun", "shift; exec \"$@\"");
    script(dir_ / "bin" / "squeue", "cd " + home +
                                        "\n"
                                        "for f in state.*; do [ \"$(cat $f)\" = RUNNING ] && echo "
                                        "\"${f#state.}|RUNNING|None\"; done; exit 0");
    script(dir_ / "bin" / "scontrol",
           "cd " + home +
               "\n"
               "case $1 in\n"
               "  show) echo \"JobId=1 JobState=$(cat state.$4 2>/dev/null) Reason=None\";;\n"
               // The real one ends the script: so does this, and the task starts it again.
               "  requeue) touch again.$2; echo $2 >> requeued; kill -KILL $PPID;;\n"
               "esac");
    script(dir_ / "bin" / "scancel", "echo \"$@\" >> " + home + "/cancelled");
    set("PATH", (dir_ / "bin").string() + ":" + std::getenv("PATH"));
    options_.program = dir_ / "exp-compute";
    options_.workspace = dir_.path();
  }
  ~FakeSlurmIntegration() override {
    std::string path = std::getenv("PATH");
    path.erase(0, path.find(':') + 1);
    ::setenv("PATH", path.c_str(), 1);
    set_.erase(std::find(set_.begin(), set_.end(), "PATH"));
  }
  Driven run() {
    SlurmExecutor executor(db_, options_);
    return drive(db_, executor, {});
  }
  SlurmOptions options_;
};

TEST_F(FakeSlurmIntegration, OneTaskABundle) {
  db_.add(fake_trials(9, 3), false);
  EXPECT_EQ(run().counts.done, 9);
  EXPECT_EQ(read_file(dir_ / "job"), "100\n") << "one array";
  EXPECT_TRUE(fs::exists(dir_ / "sweep" / "slurm" / "100_4.exit"));
  for (const Trial& trial : db_.trials(true))
    EXPECT_EQ(trial.job, fmt::format("100_{}", (trial.number - 1) / 3 * 3 + 1));
}

TEST_F(FakeSlurmIntegration, APreemptedTaskIsRequeuedByItsArrayId) {
  set("XP_FAKE_HOW", "preempt once");
  db_.add(fake_trials(4, 2), false);
  EXPECT_EQ(run().counts.done, 4);
  EXPECT_EQ(read_file(dir_ / "job"), "100\n") << "the same array";
  const std::string requeued = read_file(dir_ / "requeued");
  EXPECT_NE(requeued.find("100_1\n"), std::string::npos) << requeued;
  EXPECT_NE(requeued.find("100_3\n"), std::string::npos) << requeued;
  for (const Trial& trial : db_.trials(true)) EXPECT_EQ(trial.tries, 2);
}

// scancel: the step saves a checkpoint as for a preemption, and Slurm says that it ends the job.
TEST_F(FakeSlurmIntegration, ACancelledTaskStaysCancelled) {
  set("XP_FAKE_HOW", "preempt once");
  script(dir_ / "bin" / "srun",
         "shift; \"$@\"; code=$?\n"
         "[ $code = 75 ] && echo CANCELLED > " +
             dir_.path().string() +
             "/state.${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID\n"
             "exit $code");
  db_.add(fake_trials(4, 2), false);
  const Driven driven = run();
  EXPECT_EQ(driven.counts.stopped, 4);
  EXPECT_FALSE(fs::exists(dir_ / "requeued"));
  EXPECT_EQ(read_file(dir_ / "job"), "100\n") << "nothing was submitted again";
  for (const Trial& trial : db_.trials(true))
    EXPECT_NE(trial.error.find("was cancelled (scancel); --retry stopped"), std::string::npos);
  EXPECT_EQ(db_.retry(TrialState::kStopped), 4U);
  script(dir_ / "bin" / "srun", "shift; exec \"$@\"");
  EXPECT_EQ(run().counts.done, 4) << "asked for, they are run";
}

// A pending task of an array that is cancelled leaves no record: "Job 100_1 not found".
TEST_F(FakeSlurmIntegration, TasksCancelledWhileTheyWaitAreOver) {
  script(dir_ / "bin" / "sbatch", "[ \"$1\" = --version ] || { cd " + dir_.path().string() +
                                      "; cat job 2>/dev/null || echo 100 | tee job; }");
  script(dir_ / "bin" / "squeue", "exit 0");
  script(dir_ / "bin" / "scontrol", "echo \"Job $4 not found\"; exit 1");
  db_.add(fake_trials(4, 2), false);
  EXPECT_EQ(run().counts.stopped, 4);
  SlurmExecutor later(db_, options_);
  EXPECT_EQ(later.active(), 0) << "a later driver has nothing to wait for";
}

TEST_F(FakeSlurmIntegration, WhatTheSweepTakesBackIsGoneOnWith) {
  script(dir_ / "bin" / "sbatch", "[ \"$1\" = --version ] || echo 100");
  script(dir_ / "bin" / "squeue", "exit 0");
  script(dir_ / "bin" / "scontrol", "echo \"Job $4 not found\"; exit 1");
  db_.add(fake_trials(2, 1), false);
  SlurmExecutor executor(db_, options_);
  executor.tick(2, 2);
  db_.halt("cancelled", true);
  SlurmExecutor::cancel(db_.folder());
  std::this_thread::sleep_for(std::chrono::milliseconds(2100));
  executor.tick(0, 0);
  EXPECT_EQ(executor.active(), 0);
  EXPECT_EQ(db_.counts().queued, 2) << "`exp sweeps resume` goes on with them";
}

TEST_F(FakeSlurmIntegration, ATaskThatDiesIsSubmittedAgain) {
  set("XP_FAKE_HOW", "die once");
  db_.add(fake_trials(2, 2), false);
  EXPECT_EQ(run().counts.done, 2);
  EXPECT_EQ(read_file(dir_ / "job"), "101\n");
}

TEST_F(FakeSlurmIntegration, ALaterDriverTakesTheJobsOver) {
  db_.add(fake_trials(2, 1), false);
  {
    SlurmExecutor executor(db_, options_);
    executor.tick(2, 2);
    EXPECT_EQ(executor.active(), 2);
  }
  EXPECT_EQ(run().counts.done, 2);
  EXPECT_EQ(read_file(dir_ / "job"), "100\n") << "nothing was submitted twice";
}

TEST_F(FakeSlurmIntegration, CancelTakesBackWhatWaits) {
  db_.add(fake_trials(2, 1), false);
  SlurmExecutor executor(db_, options_);
  executor.tick(2, 2);
  EXPECT_EQ(SlurmExecutor::cancel(db_.folder()), 1U);
  EXPECT_EQ(read_file(dir_ / "cancelled"), "--state=PENDING 100\n");
  while (executor.active() > 0) {  // the tasks end before their folder goes
    executor.tick(0, 0);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

TEST_F(FakeSlurmIntegration, ARefusalIsTold) {
  script(dir_ / "bin" / "sbatch",
         "[ \"$1\" = --version ] && exit 0\necho 'sbatch: error: invalid partition'; exit 1");
  db_.add(fake_trials(1, 1), false);
  try {
    run();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_NE(error.message().find("sbatch: error: invalid partition"), std::string::npos)
        << error.message();
  }
}

class RealSlurm : public ExecutorTest {
 protected:
  void SetUp() override {
    if (!slurm_.missing().empty()) GTEST_SKIP() << slurm_.missing();
    options_.program = dir_ / "exp-compute";
    options_.workspace = dir_.path();
  }
  Driven run() {
    SlurmExecutor executor(db_, options_);
    return drive(db_, executor, {});
  }
  testing::LocalSlurm slurm_{dir_.path()};
  SlurmOptions options_;
};

using LocalSlurm = RealSlurm;

TEST_F(LocalSlurm, WorksASweepOff) {
  db_.add(fake_trials(6, 3), false);
  EXPECT_EQ(run().counts.done, 6);
  for (const Trial& trial : db_.trials(true)) EXPECT_FALSE(trial.job.empty());
}

TEST_F(LocalSlurm, APreemptedTaskGoesOn) {
  set("XP_FAKE_HOW", "preempt once");
  db_.add(fake_trials(2, 2), false);
  EXPECT_EQ(run().counts.done, 2);
  for (const Trial& trial : db_.trials(true)) EXPECT_EQ(trial.tries, 2);
  const std::string tasks =
      testing::shell(fmt::format("ls '{}'", (dir_ / "sweep" / "slurm").string())).text;
  EXPECT_EQ(std::count(tasks.begin(), tasks.end(), '\n'), 4) << "one array, requeued:\n" << tasks;
}

TEST_F(LocalSlurm, ScancelCancels) {
  set("XP_FAKE_HOW", "wait for a signal");
  db_.add(fake_trials(6, 1), false);  // two cores: some run, the others wait
  SlurmExecutor executor(db_, options_);
  executor.tick(6, 6);
  for (int i = 0; i < 300 && db_.counts().running == 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  ASSERT_GT(db_.counts().running, 0);
  testing::shell("scancel $(squeue -h -o %A | sort -u)");
  EXPECT_EQ(drive(db_, executor, {}).counts.stopped, 6);
  EXPECT_EQ(testing::shell("squeue -h").text, "");
}

}  // namespace
}  // namespace xp::sweeps
