// main of the sweeps' tests: the usual one, and, as `--fake-worker`, the worker that the executors'
// tests start in place of exp-compute. It ends the trials that it claims; the environment says
// which sweep, which bundle, and how it is to fail.
#include <chrono>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <unistd.h>

#include "core/base/error.h"
#include "core/base/stop.h"
#include "sweeps/work.h"
#include "tests/testing/run_tests.h"
#include "tests/testing/temp_dir.h"

namespace xp::sweeps {
namespace {

class Ends final : public TrialRunner {
 public:
  std::map<int64_t, Ending> run(const std::vector<Trial>& trials, TrialControl&) override {
    std::map<int64_t, Ending> out;
    const std::string how(testing::env("XP_FAKE_HOW"));
    for (const Trial& trial : trials) {
      if (how == "preempt once" && trial.tries == 1) out[trial.number].state = TrialState::kQueued;
      if (how == "die once" && trial.tries == 1) ::_exit(9);
      out[trial.number].metrics["eval.mAP"] = 0.5;
    }
    while (how == "wait for a signal" && stop_requested() == StopReason::kNone)
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    if (how == "wait for a signal")
      for (auto& [number, ending] : out) ending.state = TrialState::kQueued;
    if (how == "preempt once" && trials.front().tries == 1) request_stop(StopReason::kPreempted);
    return out;
  }
};

int work_as_told() {
  install_stop_signals();
  if (testing::env("XP_FAKE_HOW") == "cannot start") return 4;
  SweepDb db = SweepDb::open(std::string(testing::env("XP_FAKE_SWEEP")));
  Ends ends;
  WorkOptions options;
  options.only = std::atoll(std::string(testing::env("XP_FAKE_TRIAL")).c_str());
  options.job = testing::env("XP_FAKE_JOB");
  work(db, ends, options);
  return static_cast<int>(exit_code(stop_requested()));
}

}  // namespace
}  // namespace xp::sweeps

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "--fake-worker") return xp::sweeps::work_as_told();
  return xp::testing::run_tests(argc, argv);
}
