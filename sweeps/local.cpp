#include "sweeps/local.h"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <map>
#include <set>
#include <string_view>

#include <fmt/format.h>

#include "core/base/cpu.h"
#include "core/base/error.h"
#include "core/base/gpu.h"
#include "core/base/log.h"
#include "core/base/process.h"

namespace xp::sweeps {
namespace fs = std::filesystem;

namespace {

constexpr int kUseless = 3;
constexpr double kMemoryShare = 0.95;

// The last line of a log.
std::string tail_of(const fs::path& file) {
  std::error_code none;
  if (!fs::exists(file, none)) return "";
  std::string text = read_file(file);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text.substr(text.rfind('\n') + 1);
}

}  // namespace

Machine this_machine(const std::string& devices) {
  Machine out{usable_cores(), usable_memory(), {}};
  // Starting the driver takes a while: only where workers may compute on GPUs.
  if (!devices.starts_with("cpu") && usable_gpus() > 0) {
    for (const Gpu& gpu : gpu_driver().gpus) out.gpus.push_back(gpu.uuid);
  }
  return out;
}

std::vector<Slot> make_slots(const Machine& machine, int jobs, const std::string& devices,
                             int64_t memory_mb) {
  const bool gpu = !machine.gpus.empty() && !devices.starts_with("cpu");
  size_t count = jobs > 0 ? static_cast<size_t>(jobs) : (gpu ? machine.gpus.size() : 1);
  if (memory_mb > 0 && machine.memory > 0) {
    const auto fits = static_cast<size_t>(static_cast<double>(machine.memory) * kMemoryShare /
                                          (1 << 20) / static_cast<double>(memory_mb));
    if (fits < count)
      log::info("{} at a time in place of {}: {} MB each is what the machine has",
                std::max<size_t>(1, fits), count, memory_mb);
    count = std::clamp<size_t>(count, 1, std::max<size_t>(1, fits));
  }
  std::vector<Slot> out(count);
  const int threads = std::max(1, machine.cores / static_cast<int>(count));
  for (size_t i = 0; i < count; ++i) {
    Slot& slot = out[i];
    slot.name = fmt::format("cpu-{}", i);
    slot.flags = {"--threads", std::to_string(threads)};
    if (gpu) {
      slot.name = machine.gpus[i % machine.gpus.size()];
      slot.flags.insert(slot.flags.end(), {"--devices", "1"});
      slot.environment.emplace_back("CUDA_VISIBLE_DEVICES", slot.name);
    } else if (!devices.empty()) {
      slot.flags.insert(slot.flags.end(), {"--devices", devices});
    }
  }
  return out;
}

LocalExecutor::LocalExecutor(const SweepDb& db, LocalOptions options)
    : db_(SweepDb::open(db.folder())),
      options_(std::move(options)),
      usable_(options_.slots.size()) {
  fs::create_directories(options_.logs);
  fs::create_directories(options_.locks);
}

fs::path LocalExecutor::log_of(size_t slot) const {
  return options_.logs / fmt::format("worker-{}.log", slot);
}

int64_t LocalExecutor::claims() const {
  int64_t out = 0;
  for (const Trial& trial : db_.trials(false)) out += trial.tries;
  return out;
}

void LocalExecutor::collect() {
  for (auto it = workers_.begin(); it != workers_.end();) {
    const auto code = poll_process(it->pid);
    if (!code) {
      ++it;
      continue;
    }
    const Worker ended = std::move(*it);
    it = workers_.erase(it);
    const bool stopped = *code == static_cast<int>(Exit::kInterrupted) ||
                         *code == static_cast<int>(Exit::kPreempted);
    if (ended.first) {
      first_done_ = true;
      if (*code != 0 && !stopped)
        log::warn(
            "the stages that trials share could not be made beforehand; each trial says what is "
            "wrong: {}",
            log_of(ended.slot).string());
      continue;
    }
    if (*code == 0 || stopped) {
      useless_ = 0;
      continue;
    }
    if (*code == 128 + SIGKILL && usable_ > 1) {
      --usable_;
      log::warn("a worker was killed, as a machine out of memory does: {} at a time from now on",
                usable_);
    } else {
      log::warn("a worker ended with exit code {}; see {}", *code, log_of(ended.slot).string());
    }
    useless_ = claims() == ended.tries ? useless_ + 1 : 0;
    if (useless_ >= kUseless) {
      throw Error(fmt::format("workers cannot start: {}", tail_of(log_of(ended.slot))),
                  Exit::kFailed);
    }
  }
}

bool LocalExecutor::memory_allows() const {
  if (options_.memory == 0 || workers_.empty()) return true;
  double peak = 0;
  for (const Trial& trial : db_.trials(false)) peak = std::max(peak, trial.peak_mb);
  return (static_cast<double>(workers_.size()) + 1) * peak * (1 << 20) <=
         kMemoryShare * static_cast<double>(options_.memory);
}

void LocalExecutor::start(size_t slot, bool first) {
  Worker worker;
  worker.slot = slot;
  worker.first = first;
  const Slot& place = options_.slots[slot];
  ProcessOptions options;
  std::vector<std::string> command = first ? options_.first : options_.command;
  if (!first) {
    command.insert(command.end(), place.flags.begin(), place.flags.end());
    options.environment = place.environment;
    if (!place.environment.empty()) {  // two drivers of a workspace do not share a GPU unknowingly
      if (auto lock = FileLock::try_acquire(options_.locks / (place.name + ".lock")))
        worker.lock = std::make_unique<FileLock>(std::move(*lock));
      const bool ours = std::any_of(workers_.begin(), workers_.end(), [&](const Worker& other) {
        return options_.slots[other.slot].name == place.name;
      });
      if (!worker.lock && !ours) return;
    }
  }
  options.output = log_of(slot);
  options.own_group = true;  // Ctrl-C reaches the driver, which hands it on once
  worker.tries = claims();
  worker.pid = start_process(command, options);
  workers_.push_back(std::move(worker));
}

void LocalExecutor::tick(int64_t waiting, int64_t bundles) {
  collect();
  if (waiting == 0) return;
  if (!options_.first.empty() && !first_done_) {
    if (workers_.empty()) start(0, true);
    return;
  }
  std::set<size_t> taken;
  for (const Worker& worker : workers_) taken.insert(worker.slot);
  for (size_t slot = 0; slot < options_.slots.size() && taken.size() < usable_; ++slot) {
    if (taken.count(slot) != 0) continue;
    // A bundle is worked off by one worker: more workers than bundles would have nothing to do.
    if (static_cast<int64_t>(workers_.size()) >= bundles || !memory_allows()) return;
    start(slot, false);
    taken.insert(slot);
  }
}

void LocalExecutor::stop(StopReason reason) {
  const int signal = reason == StopReason::kInterrupted ? SIGINT : SIGTERM;
  for (const Worker& worker : workers_) ::kill(worker.pid, signal);
}

}  // namespace xp::sweeps
