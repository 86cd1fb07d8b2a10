#include "core/dist/team.h"

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string_view>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/gpu.h"
#include "core/base/launch.h"
#include "core/base/log.h"
#include "core/base/process.h"
#include "core/base/stop.h"
#include "core/dist/group.h"
#include "core/dist/heartbeat.h"
#include "core/graph/stage.h"
#include "tracker/capture.h"
#include "tracker/run_sink.h"

namespace xp::dist {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kGone = "another rank is gone";  // what core/dist says of a lost connection

std::string& worker_program() {
  static std::string program = "/proc/self/exe";
  return program;
}

std::string text_of(const char* name, const std::string& otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr || *text == '\0' ? otherwise : text;
}

std::string device_of(const graph::StageContext& context, int rank) {
  const auto& devices = context.resources.devices;
  if (rank < static_cast<int>(devices.size())) return devices[static_cast<size_t>(rank)];
  // Ranks of a launcher: the device of that number on their own machine.
  const int local = environment_number("LOCAL_RANK", environment_number("SLURM_LOCALID", 0));
  return computes_on_gpu(devices) ? launched_gpu(local, usable_gpus()) : "cpu";
}

/// Joins the group. `check` is called meanwhile and may throw: a rank that dies before it has
/// joined would else keep the others waiting for the ten minutes after which gloo gives up. The
/// thread that is then left waiting ends with the process.
std::unique_ptr<Group> join(const std::shared_ptr<Rendezvous>& rendezvous, const std::string& name,
                            int rank, int world, at::Device device,
                            const std::function<void()>& check) {
  const auto promise = std::make_shared<std::promise<std::unique_ptr<Group>>>();
  auto joined = promise->get_future();
  std::thread([=] {
    try {
      promise->set_value(Group::make(*rendezvous, name, rank, world, device));
    } catch (...) {
      promise->set_exception(std::current_exception());
    }
  }).detach();
  while (joined.wait_for(milliseconds(20)) != std::future_status::ready) check();
  return joined.get();
}

/// Says which rank failed and why; "" while all is well.
using Failure = std::function<std::string()>;

/// Ends the waiting calls of a group when a rank has failed, while it lives.
class Watch {
 public:
  Watch(Group& group, const Failure& failure)
      : thread_([this, &group, &failure] {
          while (!ended_ && failure().empty()) std::this_thread::sleep_for(milliseconds(100));
          if (!ended_) group.abort();
        }) {}
  ~Watch() {
    ended_ = true;
    thread_.join();
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

 private:
  std::atomic<bool> ended_ = false;
  std::thread thread_;
};

/// One rank: joins the group that job `number` forms, and does its part.
void run_rank(const Job& job, graph::StageContext& context,
              const std::shared_ptr<Rendezvous>& rendezvous, int number, int rank, int world,
              const Failure& failure) {
  Session session;
  session.device = find_device(device_of(context, rank));
  // Ranks on one machine share its cores; those of a launcher have their own.
  const bool shared = static_cast<int>(context.resources.devices.size()) >= world;
  const int threads =
      std::max(1, shared ? context.resources.threads / world : context.resources.threads);
  session.threads = share_threads(
      threads, context.resources.workers > 0 ? context.resources.workers : job.workers);
  prepare_device(session.device, session.threads.compute);
  const auto group =
      join(rendezvous, fmt::format("job{}", number), rank, world, session.device, [&] {
        graph::throw_if_stopped(
            context);  // Ctrl-C reaches every rank: the others' end is no failure
        if (const std::string text = failure(); !text.empty()) throw Error(text, Exit::kFailed);
      });
  session.group = group.get();
  const Watch watch(*group, failure);
  job.rank(context, session);
  group->barrier();
}

/// The workers of one stage: started, watched, and ended with it.
class Workers {
 public:
  Workers(const graph::StageContext& context, int port, int world) {
    for (int rank = 1; rank < world; ++rank) {
      Child child;
      child.log = tracker::Capture::log_of(rank);
      child.kept = !child.log.empty();
      if (!child.kept) child.log = context.output / fmt::format("rank-{}.log", rank);
      std::error_code none;
      if (!child.kept) fs::remove(child.log, none);
      if (fs::exists(child.log, none)) child.log_begin = fs::file_size(child.log, none);
      ProcessOptions options;
      options.output = child.log;
      child.pid = start_process({worker_program(), "worker", fmt::format("127.0.0.1:{}", port),
                                 std::to_string(rank), std::to_string(world)},
                                options);
      child.rank = rank;
      children_.push_back(child);
    }
  }

  /// Ends what still runs.
  ~Workers() {
    for (Child& child : children_)
      if (!child.ended) ::kill(child.pid, SIGTERM);
    const auto limit = std::chrono::steady_clock::now() + seconds(3);
    while (alive() && std::chrono::steady_clock::now() < limit)
      std::this_thread::sleep_for(milliseconds(20));
    for (Child& child : children_)
      if (!child.ended) ::kill(child.pid, SIGKILL);
    while (alive()) std::this_thread::sleep_for(milliseconds(5));
    std::error_code none;
    if (!failed_)
      for (const Child& child : children_)
        if (!child.kept) fs::remove(child.log, none);
  }

  /// "" while all is well, else which rank failed and its first error line. A rank that only saw
  /// another one go is named when there is no other.
  std::string failure() {
    alive();
    std::string text;
    for (const Child& child : children_) {
      if (!child.ended || child.code == 0) continue;
      const std::optional<std::string> line = first_error(child);
      if (line) return fmt::format("rank {} failed: {}", child.rank, *line);
      if (text.empty())
        text = fmt::format("rank {} failed: exit code {}; see {}", child.rank, child.code,
                           child.log.string());
    }
    return text;
  }

  /// Waits for all to end by themselves.
  void finish(seconds limit) {
    const auto until = std::chrono::steady_clock::now() + limit;
    while (alive() && std::chrono::steady_clock::now() < until)
      std::this_thread::sleep_for(milliseconds(10));
  }

 private:
  struct Child {
    pid_t pid = -1;
    int rank = 0;
    fs::path log;
    bool kept = false;       ///< with the run, as is what rank 0 prints
    uint64_t log_begin = 0;  ///< what stands before is of earlier stages
    bool ended = false;
    int code = 0;
  };

  bool alive() {
    bool any = false;
    for (Child& child : children_) {
      if (child.ended) continue;
      const std::optional<int> code = poll_process(child.pid);
      if (!code) {
        any = true;
        continue;
      }
      child.ended = true;
      child.code = *code;
      failed_ = failed_ || *code != 0;
    }
    return any;
  }

  /// What a rank says of its own failure; nullopt where it says nothing or that another is gone.
  static std::optional<std::string> first_error(const Child& child) {
    std::ifstream in(child.log);
    in.seekg(static_cast<std::streamoff>(child.log_begin));
    std::string line;
    while (std::getline(in, line))
      if (line.find("rror") != std::string::npos && line.find(kGone) == std::string::npos)
        return line;
    if (child.code > 128) return fmt::format("ended by signal {}", child.code - 128);
    return std::nullopt;
  }

  std::vector<Child> children_;
  bool failed_ = false;
};

/// The ranks that a launcher started, rank 0's end. Jobs are numbered over the life of the process.
struct Launched {
  std::shared_ptr<Rendezvous> rendezvous;
  std::unique_ptr<Heartbeat> heartbeat;
  WorkerPlace place;
  int jobs = 0;
};

Launched& launched() {
  static Launched all = [] {
    Launched made;
    made.place = launched_place();
    if (made.place.world <= 1) return made;
    made.rendezvous = Rendezvous::serve(made.place.host, made.place.port);
    made.heartbeat =
        std::make_unique<Heartbeat>(made.place.host, made.place.port, 0, made.place.world);
    return made;
  }();
  return all;
}

/// Does rank 0's part; a lost connection becomes the error of the rank that failed first: it knows
/// why, the others only see it gone.
void with_reason(const std::function<void()>& part, const Failure& failure) {
  try {
    part();
  } catch (const Error& mine) {
    if (mine.message().find(kGone) == std::string::npos) throw;
    if (const std::string text = failure(); !text.empty()) throw Error(text, Exit::kFailed);
    throw;
  }
}

}  // namespace

std::string launched_gpu(int local, int usable) {
  return fmt::format("gpu:{}", usable > 0 ? local % usable : local);
}

void set_worker_program(const std::string& program) { worker_program() = program; }

WorkerPlace launched_place() {
  WorkerPlace place;
  const LaunchedRank launched = launched_rank();
  place.rank = launched.rank;
  place.world = launched.world;
  place.host = text_of("MASTER_ADDR", text_of("SLURM_LAUNCH_NODE_IPADDR", "127.0.0.1"));
  place.port =
      environment_number("MASTER_PORT", 29600 + environment_number("SLURM_JOB_ID", 0) % 1000);
  return place;
}

void meet_launched_ranks() { launched(); }

void run_team(const Job& job, graph::StageContext& context) {
  if (Launched& all = launched(); all.place.world > 1) {
    const int number = all.jobs++;
    all.rendezvous->set(fmt::format("job/{}", number), job.text);
    with_reason(
        [&] {
          run_rank(job, context, all.rendezvous, number, 0, all.place.world,
                   [&] { return all.heartbeat->failure(); });
        },
        [&] { return all.heartbeat->wait_for_failure(seconds(9)); });
    return;
  }
  const auto world = static_cast<int>(context.resources.devices.size());
  if (world <= 1) return job.rank(context, single_session(context, job.workers));
  const auto rendezvous = Rendezvous::serve("127.0.0.1");
  rendezvous->set("job/0", job.text);
  Workers team(context, rendezvous->port(), world);
  with_reason(
      [&] { run_rank(job, context, rendezvous, 0, 0, world, [&] { return team.failure(); }); },
      [&] {
        team.finish(seconds(3));
        return team.failure();
      });
  team.finish(seconds(10));
}

namespace {

/// The text of job `number`; nullopt when rank 0 is done and gone.
std::optional<std::string> next_job(Rendezvous& rendezvous, int number) {
  for (;;) {
    try {
      if (auto job = rendezvous.look(fmt::format("job/{}", number))) return job;
    } catch (const Error&) {
      return std::nullopt;
    }
    xp::throw_if_stopped();
    std::this_thread::sleep_for(milliseconds(50));
  }
}

}  // namespace

void run_worker(const WorkerPlace& place, const ReadJob& read,
                const std::function<void(graph::StageContext&)>& prepare) {
  const auto rendezvous = Rendezvous::join(place.host, place.port);
  // A worker of rank 0's own is watched as a process; its output is its error line.
  std::unique_ptr<Heartbeat> heartbeat;
  if (place.jobs == 0)
    heartbeat = std::make_unique<Heartbeat>(place.host, place.port, place.rank, place.world);
  const Failure failure = [&] { return heartbeat ? heartbeat->failure() : std::string(); };
  tracker::NullSink sink;
  for (int number = 0; place.jobs == 0 || number < place.jobs; ++number) {
    const std::optional<std::string> text = next_job(*rendezvous, number);
    if (!text) return;
    graph::StageContext context;
    const Job job = read(*text, context);
    context.sink = &sink;
    context.stop_requested = [] { return xp::stop_requested(); };
    context.say = [](std::string_view line) { log::info("{}", line); };
    prepare(context);
    try {
      graph::throw_if_stopped(context);
      run_rank(job, context, rendezvous, number, place.rank, place.world, failure);
    } catch (const std::exception& error) {
      const std::string_view what = error.what();
      const bool stopped = dynamic_cast<const Stopped*>(&error) != nullptr;
      if (heartbeat && !stopped && what.find(kGone) == std::string_view::npos)
        heartbeat->failed(what);
      throw;
    }
  }
}

}  // namespace xp::dist
