#include "core/graph/execute.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <set>
#include <system_error>
#include <thread>

#include <fmt/format.h>

#include "core/base/clock.h"
#include "core/base/files.h"
#include "core/graph/summary_sink.h"

namespace xp::graph {
namespace fs = std::filesystem;

bool Runner::runs_many(std::string_view) const { return false; }

void Runner::run_many(std::span<const Node* const>, std::span<StageContext* const>) {
  XP_CHECK(false, "run_many of a runner that has none");
}

Exit Execution::code() const {
  for (const NodeResult& node : nodes) {
    if (node.result == Result::kFailed) return node.code;
  }
  return stopped == StopReason::kNone ? Exit::kOk : exit_code(stopped);
}

namespace {

Exit exit_of(const std::exception& error) {
  if (const auto* known = dynamic_cast<const Error*>(&error)) return known->code();
  // The world's faults that reach us through the standard library: a full disk, a missing
  // permission, no memory.
  const bool of_the_world = dynamic_cast<const std::system_error*>(&error) != nullptr ||
                            dynamic_cast<const std::bad_alloc*>(&error) != nullptr;
  return of_the_world ? Exit::kFailed : Exit::kInternal;
}

}  // namespace

Wanted wanted_output(const Graph& graph, const Node& node, const std::string& run) {
  Wanted out;
  out.kind = node.kind;
  out.version = node.version;
  out.resume = node.resume;
  out.key = node.key;
  out.stage = node.name;
  out.options = node.options;
  out.inputs = input_records(graph, node);
  out.run = run;
  return out;
}

std::string damaged_text(const Cache& cache, const Node& node, std::string_view what) {
  return fmt::format("the cached output {} is damaged: {}; it is made again",
                     cache.folder(node.kind, node.key).string(), what);
}

void set_failed(NodeResult& result, const Node& node, const std::exception& error) {
  result.result = Result::kFailed;
  result.error = error.what();
  result.where = "stage " + node.name;
  result.code = exit_of(error);
}

tracker::Outcome outcome_of(StopReason reason) {
  return reason == StopReason::kPreempted ? tracker::Outcome::kPreempted
                                          : tracker::Outcome::kInterrupted;
}

namespace {

constexpr int kRepairs = 2;  // times that one output may turn out damaged before it is a failure

// A part of the machine that one stage at a time uses.
std::vector<Resources> share(const Resources& all, int at_once) {
  std::vector<Resources> out(static_cast<size_t>(std::max(1, at_once)));
  const int n = static_cast<int>(out.size());
  for (Resources& slot : out) {
    slot = all;
    slot.devices.clear();
    slot.threads = std::max(1, all.threads / n);
    slot.workers = all.workers == 0 ? 0 : std::max(1, all.workers / n);
  }
  // More devices than slots: each gets several; fewer: they are shared.
  const size_t devices = all.devices.size();
  for (size_t i = 0; i < std::max(devices, devices == 0 ? size_t{0} : out.size()); ++i) {
    out[i % out.size()].devices.push_back(all.devices[i % devices]);
  }
  return out;
}

class Work {
 public:
  Work(const Plan& plan, const Cache& cache, Runner& runner, Recorder& recorder,
       const ExecuteOptions& options)
      : plan_(plan),
        cache_(cache),
        scratch_(cache.root() / ("scratch-" + make_ulid())),
        runner_(runner),
        recorder_(recorder),
        options_(options),
        slots_(share(options.resources, options.at_once)),
        phase_(plan.graph.nodes.size(), Phase::kOut),
        folder_(plan.graph.nodes.size()),
        repairs_(plan.graph.nodes.size(), 0) {
    out_.nodes.resize(plan.graph.nodes.size());
  }

  Execution run() {
    std::optional<FileLock> alive;  // tells gc that the scratch folder is in use
    if (options_.depth != Depth::kFull) {
      make_folders(scratch_.root());
      if (auto lock = FileLock::try_acquire(scratch_.root() / "lock"))
        alive.emplace(std::move(*lock));
    }
    take_cached();
    for (size_t i = 0; i < phase_.size(); ++i) {
      if (plan_.steps[i].state != State::kCached && plan_.steps[i].state != State::kNotNeeded)
        want(i);
    }
    std::vector<std::thread> threads;
    for (size_t i = 1; i < slots_.size(); ++i) threads.emplace_back([this, i] { work(slots_[i]); });
    work(slots_[0]);
    for (std::thread& thread : threads) thread.join();
    if (bug_) std::rethrow_exception(bug_);
    for (size_t i = 0; i < phase_.size(); ++i) {
      if (phase_[i] == Phase::kOut) out_.nodes[i].result = Result::kNotNeeded;
    }
    if (options_.depth != Depth::kFull) {
      std::error_code ignored;
      fs::remove_all(scratch_.root(), ignored);
    }
    return std::move(out_);
  }

 private:
  enum class Phase { kOut, kWaiting, kRunning, kDone, kOver };

  const Node& node(size_t i) const { return plan_.graph.nodes[i]; }
  NodeResult& result(size_t i) { return out_.nodes[i]; }

  // Decoded audio is worth keeping even when the rest is a rehearsal on a few clips.
  const Cache& cache_of(size_t i) const {
    const bool rehearsal =
        options_.depth == Depth::kCheck ||
        (options_.depth == Depth::kOverfit && node(i).kind != "prepare" && node(i).kind != "stats");
    return rehearsal ? scratch_ : cache_;
  }

  // Goals that are cached are read through here: their numbers are about to be shown. Inputs are
  // read through when a stage needs them.
  void take_cached() {
    std::set<size_t> goals(plan_.graph.goals.begin(), plan_.graph.goals.end());
    for (size_t i = 0; i < phase_.size(); ++i) {
      if (plan_.steps[i].state != State::kCached) continue;
      phase_[i] = Phase::kDone;
      folder_[i] = cache_.folder(node(i).kind, node(i).key);
      use(cache_, i);
      result(i).result = Result::kCached;
      result(i).manifest = plan_.steps[i].cached;
      const std::string damage =
          goals.count(i) != 0 ? cache_.damage(*plan_.steps[i].cached, true) : "";
      if (damage.empty()) {
        recorder_.attach(node(i), folder_[i], false);
      } else {
        recorder_.say(node(i), fmt::format("the cached output {} is damaged: {}; it is made again",
                                           folder_[i].string(), damage));
        phase_[i] = Phase::kOut;
        want(i);
      }
    }
  }

  // Puts a node on the list, and what it is made from where that is not there any more.
  void want(size_t i) {
    if (phase_[i] != Phase::kOut) return;
    phase_[i] = Phase::kWaiting;
    result(i) = NodeResult{};
    for (const Edge& edge : node(i).inputs) {
      if (edge.node != Edge::kUser) want(edge.node);
    }
  }

  bool ready(size_t i) const {
    if (phase_[i] != Phase::kWaiting) return false;
    return std::all_of(node(i).inputs.begin(), node(i).inputs.end(), [this](const Edge& edge) {
      return edge.node == Edge::kUser || phase_[edge.node] == Phase::kDone;
    });
  }

  static bool equal_inputs(const std::vector<InputRecord>& a, const std::vector<InputRecord>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](const InputRecord& x, const InputRecord& y) {
                        return x.role == y.role && x.part == y.part && x.key == y.key;
                      });
  }

  // The first ready node, with all that may run together with it. Empty when nothing is ready.
  std::vector<size_t> pick() const {
    for (size_t i = 0; i < phase_.size(); ++i) {
      if (!ready(i)) continue;
      std::vector<size_t> group = {i};
      if (!runner_.runs_many(node(i).kind)) return group;
      const std::vector<InputRecord> inputs = input_records(plan_.graph, node(i));
      std::set<std::string> keys = {node(i).key};
      for (size_t k = i + 1; k < phase_.size(); ++k) {
        if (ready(k) && node(k).kind == node(i).kind &&
            equal_inputs(inputs, input_records(plan_.graph, node(k))) &&
            keys.insert(node(k).key).second) {
          group.push_back(k);
        }
      }
      // Everybody claims in the order of keys, so that two processes with the same group never wait
      // for each other.
      std::sort(group.begin(), group.end(),
                [this](size_t a, size_t b) { return node(a).key < node(b).key; });
      return group;
    }
    return {};
  }

  bool ended() const {
    return (failed_ && !options_.keep_going) || out_.stopped != StopReason::kNone || bug_;
  }

  void work(const Resources& slot) {
    std::unique_lock lock(mutex_);
    while (true) {
      if (out_.stopped == StopReason::kNone) out_.stopped = options_.stop_requested();
      if (ended()) break;
      const std::vector<size_t> group = pick();
      if (!group.empty()) {
        for (const size_t i : group) phase_[i] = Phase::kRunning;
        lock.unlock();
        try {
          make(group, slot);
        } catch (...) {  // a fault of ours: everything ends
          const std::lock_guard again(mutex_);
          if (!bug_) bug_ = std::current_exception();
        }
        lock.lock();
        changed_.notify_all();
        continue;
      }
      const bool running =
          std::any_of(phase_.begin(), phase_.end(), [](Phase p) { return p == Phase::kRunning; });
      if (!running) break;
      changed_.wait_for(lock, std::chrono::milliseconds(200));
    }
    changed_.notify_all();
  }

  // Reads the inputs of `i` through. False when one was damaged: it and `i` are then on the list
  // again.
  bool inputs_whole(size_t i) {
    for (const Edge& edge : node(i).inputs) {
      if (edge.node == Edge::kUser) continue;
      const size_t from = edge.node;
      std::optional<Manifest> manifest;
      {
        const std::lock_guard lock(mutex_);
        if (whole_.count(node(from).key) != 0) continue;
        manifest = result(from).manifest;
      }
      XP_CHECK(manifest.has_value(), "a finished input without a manifest: " + node(from).name);
      const std::string damage = cache_of_made(from).damage(*manifest, true);
      const std::lock_guard lock(mutex_);
      if (damage.empty()) {
        whole_.insert(node(from).key);
        continue;
      }
      recorder_.say(node(from), fmt::format("the cached output {} is damaged: {}; it is made again",
                                            folder_[from].string(), damage));
      if (++repairs_[from] > kRepairs) {
        throw Error(fmt::format("{} was made {} times and is damaged again: {}; check the disk",
                                folder_[from].string(), kRepairs, damage),
                    Exit::kFailed);
      }
      phase_[i] = Phase::kWaiting;
      phase_[from] = Phase::kOut;
      want(from);
      return false;
    }
    return true;
  }

  const Cache& cache_of_made(size_t i) const {
    return folder_[i].parent_path().parent_path() == scratch_.root() ? scratch_ : cache_;
  }

  std::vector<StageInput> stage_inputs(size_t i) const {
    std::vector<StageInput> out;
    for (const Edge& edge : node(i).inputs) {
      StageInput input;
      input.role = edge.role;
      input.part = edge.part;
      if (edge.node == Edge::kUser) {
        input.path = edge.path;
        input.key = edge.digest;
      } else {
        input.path = folder_[edge.node];
        input.stage = node(edge.node).name;
        input.key = node(edge.node).key;
        input.each = node(edge.node).each;
      }
      out.push_back(std::move(input));
    }
    return out;
  }

  // Everything that one node needs while it is made.
  struct Job {
    Job(size_t node_index, Claim node_claim) : index(node_index), claim(std::move(node_claim)) {}
    size_t index;
    Claim claim;
    std::unique_ptr<tracker::RunSink> recorded;
    std::unique_ptr<SummarySink> sink;
    StageContext context;
  };

  void make(const std::vector<size_t>& group, const Resources& slot) {
    std::vector<std::unique_ptr<Job>> jobs;
    for (const size_t i : group) {
      try {
        if (inputs_whole(i)) {
          if (auto job = begin(i, slot)) jobs.push_back(std::move(job));
        }
      } catch (const std::exception& error) {
        fail(i, error);
        put_back(group);
        for (const auto& job : jobs) cancel(*job, "not started: " + node(i).name + " failed");
        return;
      }
    }
    if (jobs.size() > 1) {
      run_together(jobs);
    } else if (jobs.size() == 1) {
      Job& job = *jobs.front();
      finish(job, [&] { runner_.run(node(job.index), job.context); });
    }
  }

  // Claims a node. Null when there is nothing to do for it: somebody made it, or the run is
  // stopping.
  std::unique_ptr<Job> begin(size_t i, const Resources& slot) {
    std::string said;
    const auto waiting = [&](const Holder& holder) {
      const std::string text = "waits for " +
                               (holder.run.empty() ? "another process" : "run " + holder.run) +
                               fmt::format(" (process {} on {})", holder.pid, holder.host);
      if (said != text) {
        const std::lock_guard lock(mutex_);
        recorder_.say(node(i), "waits for " + holder_text(holder));
        said = text;
      }
      return options_.stop_requested() == StopReason::kNone;
    };
    const auto damaged = [&](const std::string& what) {
      const std::lock_guard lock(mutex_);
      recorder_.say(node(i), damaged_text(cache_of(i), node(i), what));
    };
    auto claim = cache_of(i).claim(wanted_output(plan_.graph, node(i), options_.run),
                                   plan_.steps[i].forced && repairs_[i] == 0, waiting, damaged);
    const std::lock_guard lock(mutex_);
    if (!claim) {
      phase_[i] = Phase::kOver;
      result(i).result = Result::kNotStarted;
      return nullptr;
    }
    if (const Manifest* finished = claim->finished()) {
      done(i, *finished, Result::kCached, 0);
      return nullptr;
    }
    auto job = std::make_unique<Job>(i, std::move(*claim));
    job->recorded = recorder_.begin(node(i), job->claim.output());
    job->sink = std::make_unique<SummarySink>(*job->recorded);
    StageContext& context = job->context;
    context.name = node(i).name;
    context.key = node(i).key;
    context.inputs = stage_inputs(i);
    context.output = job->claim.output();
    context.resumed = job->claim.resumed();
    if (const std::string& earlier = plan_.steps[i].earlier; !earlier.empty())
      context.earlier = cache_.folder(node(i).kind, earlier);
    context.resources = slot;
    context.depth = options_.depth;
    context.overfit_clips = options_.overfit_clips;
    context.sink = job->sink.get();
    context.stop_requested = [this, claim = &job->claim] {
      claim->keep();
      return options_.stop_requested();
    };
    context.progress = [this, i](std::string_view what, double done, double total) {
      recorder_.progress(node(i), what, done, total);
    };
    context.say = [this, i](std::string_view line) {
      const std::lock_guard again(mutex_);
      recorder_.say(node(i), line);
    };
    return job;
  }

  void run_together(const std::vector<std::unique_ptr<Job>>& jobs) {
    std::vector<const Node*> nodes;
    std::vector<StageContext*> contexts;
    for (const auto& job : jobs) {
      nodes.push_back(&node(job->index));
      contexts.push_back(&job->context);
    }
    std::exception_ptr failure;
    const int64_t start = steady_ns();
    try {
      runner_.run_many(nodes, contexts);
    } catch (...) {
      failure = std::current_exception();
    }
    const double each =
        static_cast<double>(steady_ns() - start) / 1e9 / static_cast<double>(jobs.size());
    const auto rethrow = [&failure] {
      if (failure) std::rethrow_exception(failure);
    };
    for (const auto& job : jobs) finish(*job, rethrow, each);
  }

  // Runs `run` and publishes, or tells how it ended. `before`: seconds of work done already.
  template <class Run>
  void finish(Job& job, Run&& run, double before = 0) {
    const int64_t start = steady_ns();
    const auto seconds = [&] { return before + static_cast<double>(steady_ns() - start) / 1e9; };
    const size_t i = job.index;
    try {
      run();
      job.sink->finished(tracker::Outcome::kDone, "");
      {
        const std::lock_guard lock(mutex_);
        recorder_.publish(node(i), job.claim.output());
      }
      const Manifest manifest = job.claim.publish(job.sink->summary(), seconds());
      const std::lock_guard lock(mutex_);
      whole_.insert(node(i).key);
      done(i, manifest, Result::kMade, seconds());
    } catch (const Stopped& stopped) {
      job.claim.abandon(seconds());
      job.sink->finished(outcome_of(stopped.reason()), "");
      const std::lock_guard lock(mutex_);
      phase_[i] = Phase::kOver;
      result(i).result = Result::kStopped;
      result(i).seconds = seconds();
      if (out_.stopped == StopReason::kNone) out_.stopped = stopped.reason();
    } catch (const std::exception& error) {
      job.claim.abandon(seconds());
      job.sink->finished(tracker::Outcome::kFailed, error.what());
      fail(i, error);
      const std::lock_guard lock(mutex_);
      result(i).seconds = seconds();
    }
  }

  void cancel(Job& job, const std::string& why) {
    job.sink->finished(tracker::Outcome::kInterrupted, why);
    const std::lock_guard lock(mutex_);
    phase_[job.index] = Phase::kOver;
  }

  void put_back(const std::vector<size_t>& group) {
    const std::lock_guard lock(mutex_);
    for (const size_t i : group) {
      if (phase_[i] == Phase::kRunning) phase_[i] = Phase::kOver;
    }
  }

  // With the mutex held.
  void done(size_t i, const Manifest& manifest, Result how, double seconds) {
    phase_[i] = Phase::kDone;
    folder_[i] = cache_of(i).folder(node(i).kind, node(i).key);
    use(cache_of(i), i);
    result(i).result = how;
    result(i).manifest = manifest;
    result(i).seconds = seconds;
    recorder_.attach(node(i), folder_[i], how == Result::kMade);
  }

  void use(const Cache& cache, size_t i) {
    if (auto lock = cache.use(node(i).kind, node(i).key)) in_use_.push_back(std::move(*lock));
  }

  void fail(size_t i, const std::exception& error) {
    const std::lock_guard lock(mutex_);
    failed_ = true;
    phase_[i] = Phase::kOver;
    set_failed(result(i), node(i), error);
  }

  const Plan& plan_;
  const Cache& cache_;
  const Cache scratch_;
  Runner& runner_;
  Recorder& recorder_;
  const ExecuteOptions& options_;
  const std::vector<Resources> slots_;

  std::mutex mutex_;  // guards everything below, and the calls of the recorder
  std::condition_variable changed_;
  std::vector<Phase> phase_;
  std::vector<fs::path> folder_;
  std::vector<int> repairs_;
  std::vector<FileLock> in_use_;  // what is finished, until this run ends
  std::set<std::string> whole_;   // keys of outputs that were read through by this run
  bool failed_ = false;
  std::exception_ptr bug_;
  Execution out_;
};

}  // namespace

Execution execute(const Plan& plan, const Cache& cache, Runner& runner, Recorder& recorder,
                  const ExecuteOptions& options) {
  return Work(plan, cache, runner, recorder, options).run();
}

}  // namespace xp::graph
