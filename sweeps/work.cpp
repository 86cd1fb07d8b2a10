#include "sweeps/work.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include <fmt/format.h>

#include "core/base/clock.h"
#include "core/base/cpu.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "sweeps/halving.h"

namespace xp::sweeps {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLook{500};            // for a cancelled sweep
constexpr int64_t kRenewNs = 10'000'000'000;  // a sixth of a lease
constexpr int64_t kToldNs = 2'000'000'000;    // between two texts of what is being done

// Keeps the leases of one claim alive, and knows why to stop.
class Watch final : public TrialControl {
 public:
  Watch(const SweepDb& db, const SweepSpec& spec, std::string owner,
        const std::vector<Trial>& trials)
      : db_(SweepDb::open(db.folder())),
        own_(SweepDb::open(db.folder())),
        spec_(spec),
        owner_(std::move(owner)) {
    for (const Trial& trial : trials) numbers_.push_back(trial.number);
    thread_ = std::thread([this] { loop(); });
  }

  ~Watch() override {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  void began(int64_t number, const std::string& run) override {
    const std::lock_guard lock(own_mutex_);
    own_.set_run(number, owner_, run);
  }

  void doing(std::string_view what) noexcept override {
    try {
      const std::lock_guard lock(mutex_);
      doing_ = std::string(what);
    } catch (const std::exception&) {
      // no memory for a status line
    }
  }

  // Called by the training loop once an epoch: it may cost a transaction, but never a training.
  void epoch_value(int64_t number, int64_t epoch, double value) noexcept override {
    if (spec_.strategy != "asha" || spec_.objectives.empty()) return;
    try {
      const Halving halving{spec_.rung_first, spec_.rung_factor};
      const int64_t rung = halving.rung(epoch);
      if (rung == 0) return;
      const std::lock_guard lock(own_mutex_);
      own_.add_rung(number, rung, value);
      std::vector<double> losses;
      double loss = 0;
      for (const auto& [trial, reached] : own_.rung(rung)) {
        losses.push_back(spec_.objectives.front().loss(reached));
        if (trial == number) loss = losses.back();
      }
      if (halving.goes_on(losses, loss) || numbers_.size() != 1) return;
      const std::lock_guard stop_lock(mutex_);
      early_ = fmt::format(
          "stopped at epoch {}: {} {:.4g} is not in the best 1/{} of the {} that came so far", rung,
          spec_.objectives.front().metric, value, halving.factor, losses.size());
      stop_ = StopReason::kRequested;
    } catch (const std::exception& error) {
      log::warn("early stopping cannot look at sweep.db: {}", error.what());
    }
  }

  StopReason stop() const override {
    const StopReason asked = stop_requested();
    return asked != StopReason::kNone ? asked : stop_.load();
  }

  std::string stopped_early() const override {
    const std::lock_guard lock(mutex_);
    return early_;
  }

 private:
  void loop() {
    std::string told;
    int64_t renewed = steady_ns();
    std::unique_lock lock(mutex_);
    while (!wake_.wait_for(lock, kLook, [this] { return over_; })) {
      const std::string doing = doing_;
      lock.unlock();
      const int64_t since = steady_ns() - renewed;
      try {
        if (db_.cancelled()) stop_ = StopReason::kRequested;
        if (since > kRenewNs || (doing != told && since > kToldNs)) {
          if (!db_.renew(owner_, numbers_, doing) && stop_ == StopReason::kNone) {
            log::warn("another worker has taken over a trial of this one; it is left to that");
            stop_ = StopReason::kRequested;
          }
          told = doing;
          renewed = steady_ns();
        }
      } catch (const Error& error) {
        log::warn("sweep.db: {}", error.message());  // a lease lasts for several tries
      }
      lock.lock();
    }
  }

  SweepDb db_;  // of the thread
  std::mutex own_mutex_;
  SweepDb own_;  // of the callers
  const SweepSpec& spec_;
  const std::string owner_;
  std::vector<int64_t> numbers_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool over_ = false;
  std::string doing_, early_;
  std::atomic<StopReason> stop_ = StopReason::kNone;
  std::thread thread_;
};

size_t run_claimed(SweepDb& db, const SweepSpec& spec, TrialRunner& runner,
                   const std::string& owner, const std::vector<Trial>& trials) {
  Watch watch(db, spec, owner, trials);
  std::map<int64_t, Ending> endings = runner.run(trials, watch);
  size_t ended = 0;
  for (const Trial& trial : trials) {
    const auto found = endings.find(trial.number);
    XP_CHECK(found != endings.end(), fmt::format("nobody says how trial {} ended", trial.number));
    Ending& ending = found->second;
    ending.peak_mb = static_cast<double>(peak_resident_bytes()) / (1 << 20);
    if (!db.finish(trial.number, owner, ending)) {
      log::warn("trial {} was taken over by another worker: what it says counts", trial.number);
    } else if (ending.state != TrialState::kQueued) {
      ++ended;
    }
  }
  return ended;
}

}  // namespace

size_t work(SweepDb& db, TrialRunner& runner, const WorkOptions& options) {
  const SweepSpec spec = db.spec();
  const std::string owner = make_ulid();
  const tracker::ProcessId process = tracker::this_process();
  size_t ended = 0;
  while (stop_requested() == StopReason::kNone) {
    const std::vector<Trial> trials =
        db.claim(owner, process, options.most, options.job, options.only);
    if (!trials.empty()) {
      ended += run_claimed(db, spec, runner, owner, trials);
    } else if (options.idle()) {
      std::this_thread::sleep_for(milliseconds(50));
    } else {
      break;
    }
  }
  return ended;
}

}  // namespace xp::sweeps
