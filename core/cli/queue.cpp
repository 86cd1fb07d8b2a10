// exp queue: works off queued runs, oldest first. Each is a process of its own, `exp run` on the
// recipe as it was when it was queued.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <memory>
#include <optional>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/gpu.h"
#include "core/base/log.h"
#include "core/base/process.h"
#include "core/base/stop.h"
#include "core/cli/arguments.h"
#include "core/cli/command.h"
#include "core/run/workspace.h"
#include "tracker/query.h"
#include "tracker/store.h"

namespace xp::cli {
namespace fs = std::filesystem;

namespace {

struct Item {
  std::string uid, name;
  fs::path folder;
};

// The queued runs, oldest first.
std::vector<Item> queued(const run::Workspace& workspace) {
  tracker::Query query(workspace.exp_folder());
  tracker::Selection selection;
  selection.filter = "status=queued";
  selection.keys.emplace();
  std::vector<tracker::RunInfo> runs = query.runs(selection);
  std::sort(runs.begin(), runs.end(), [](const tracker::RunInfo& a, const tracker::RunInfo& b) {
    return std::pair(a.created_ns, a.uid) < std::pair(b.created_ns, b.uid);
  });
  std::vector<Item> out;
  for (const tracker::RunInfo& run : runs) {
    out.push_back({run.uid, run.name, workspace.exp_folder() / "runs" / run.uid});
  }
  return out;
}

std::vector<std::string> command_of(const Item& item, const Session& session,
                                    const std::vector<std::string>& extra) {
  const fs::path file = item.folder / "queue.json";
  const nlohmann::json in = nlohmann::json::parse(read_file(file), nullptr, false);
  if (!in.is_object() || !in.contains("flags") || !in["flags"].is_array()) {
    throw Error(fmt::format("{}: cannot be read", file.string()), Exit::kData);
  }
  std::vector<std::string> out = {(session.program.parent_path() / "exp").string(), "run",
                                  (item.folder / "queued.toml").string(), "--run", item.uid};
  for (const auto& flag : in["flags"]) out.push_back(flag.get<std::string>());
  if (session.json) {
    // stdout is the answer of this command alone.
    out.insert(out.begin(), {"/bin/sh", "-c", "exec \"$@\" >&2", "exp"});
  }
  const bool own_devices = std::find(out.begin(), out.end(), "--devices") != out.end();
  if (!own_devices) out.insert(out.end(), extra.begin(), extra.end());
  return out;
}

class Queue final : public Command {
 public:
  void declare(Arguments& declared) override {
    declared.option("--jobs", jobs_, "runs at a time (default 1); GPUs and cores are shared out")
        .range(1, 1024);
    declared.footer(
        "Examples:\n  exp run recipes/esc50/kfold.toml --queue\n  exp queue --jobs 2\n");
  }

  int run(Session& session) override {
    const run::Workspace workspace = run::load_workspace(session.workspace());
    if (!fs::exists(workspace.exp_folder() / "runs")) return tell(session, 0);
    int done = 0;
    while (true) {
      collect_ended();
      if (stop_requested() == StopReason::kNone) done += start_next(workspace, session);
      if (working_.empty()) break;
      if (stop_requested() != StopReason::kNone) pass_on_stop();
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    if (stop_requested() != StopReason::kNone) return static_cast<int>(exit_code(stop_requested()));
    return tell(session, done);
  }

 private:
  // What came of it; returns the exit code.
  int tell(const Session& session, int done) const {
    if (session.json) {
      fmt::print("{}\n",
                 nlohmann::ordered_json({{"done", done}, {"failed", failed_}, {"runs", ended_}})
                     .dump(1, ' ', false, nlohmann::json::error_handler_t::replace));
    } else if (done == 0) {
      fmt::print("the queue is empty\n");
    } else {
      fmt::print("{} run{} worked off, {} failed; see `exp runs`\n", done, done == 1 ? "" : "s",
                 failed_);
    }
    return failed_ == 0 ? 0 : static_cast<int>(Exit::kFailed);
  }

  struct Working {
    Item item;
    pid_t pid;
    int slot;
    FileLock lock;  // another `exp queue` leaves this run alone
  };

  void collect_ended() {
    for (auto it = working_.begin(); it != working_.end();) {
      const auto code = poll_process((*it)->pid);
      if (!code) {
        ++it;
        continue;
      }
      ended_.push_back({{"run", (*it)->item.uid}, {"name", (*it)->item.name}, {"code", *code}});
      if (*code != 0 && *code != static_cast<int>(Exit::kInterrupted) &&
          *code != static_cast<int>(Exit::kPreempted)) {
        ++failed_;
        log::error("run {} ({}) ended with exit code {}; see `exp show {}`", (*it)->item.uid,
                   (*it)->item.name, *code, (*it)->item.uid);
      }
      it = working_.erase(it);
    }
  }

  // Starts the oldest queued run that nobody works on, in a free slot. Returns how many were
  // started.
  int start_next(const run::Workspace& workspace, const Session& session) {
    int started = 0;
    while (static_cast<int>(working_.size()) < jobs_) {
      std::optional<Item> next;
      std::optional<FileLock> lock;
      for (const Item& item : queued(workspace)) {
        // One try a run: what cannot even begin stays queued and must not be tried for ever.
        if (std::find(tried_.begin(), tried_.end(), item.uid) != tried_.end()) continue;
        auto held = FileLock::try_acquire(item.folder / "queue.lock");
        if (!held) continue;
        next = item;
        lock.emplace(std::move(*held));
        break;
      }
      if (!next) return started;
      tried_.push_back(next->uid);
      const int slot = free_slot();
      const std::vector<std::string> command = command_of(*next, session, share(workspace, slot));
      log::info("run {} ({}) begins", next->uid, next->name);
      const pid_t pid = start_process(command, {});
      working_.push_back(std::make_unique<Working>(Working{*next, pid, slot, std::move(*lock)}));
      ++started;
    }
    return started;
  }

  int free_slot() const {
    for (int slot = 0;; ++slot) {
      if (std::none_of(working_.begin(), working_.end(),
                       [slot](const auto& w) { return w->slot == slot; })) {
        return slot;
      }
    }
  }

  // What one of several runs at a time may use.
  std::vector<std::string> share(const run::Workspace& workspace, int slot) const {
    if (jobs_ == 1) return {};
    std::vector<std::string> out = {
        "--threads", std::to_string(std::max(1, workspace.resources.threads / jobs_))};
    const int gpus = usable_gpus();
    if (gpus > 0) {
      out.emplace_back("--devices");
      out.push_back(fmt::format("gpu:{}", slot % gpus));
    }
    return out;
  }

  // Ctrl-C reaches the children by itself, a signal to this process alone does not.
  void pass_on_stop() {
    if (passed_on_) return;
    passed_on_ = true;
    if (stop_requested() == StopReason::kInterrupted) return;
    for (const auto& work : working_) ::kill(work->pid, SIGTERM);
  }

  nlohmann::ordered_json ended_ = nlohmann::ordered_json::array();
  int jobs_ = 1;
  int failed_ = 0;
  bool passed_on_ = false;
  std::vector<std::string> tried_;
  std::vector<std::unique_ptr<Working>> working_;
};

}  // namespace

std::unique_ptr<Command> make_queue() { return std::make_unique<Queue>(); }

}  // namespace xp::cli
