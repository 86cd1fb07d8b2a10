#include "core/train/team.h"

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <functional>
#include <future>
#include <memory>
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
#include "core/graph/stage.h"
#include "core/schema/stage_options.h"
#include "core/train/job.h"
#include "core/train/run.h"
#include "tracker/run_sink.h"

namespace xp::train {
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
  const bool gpu = devices.empty() ? usable_gpus() > 0 : devices[0].starts_with("gpu");
  return gpu ? fmt::format("gpu:{}", local) : "cpu";
}

void body(const schema::TrainStageOptions& options, graph::StageContext& context,
          const Session& session) {
  train_rank(options, context, session);
}

void body(const schema::PretrainStageOptions& options, graph::StageContext& context,
          const Session& session) {
  pretrain_rank(options, context, session);
}

/// Joins the group. `check` is called meanwhile and may throw: a rank that dies before it has
/// joined would else keep the others waiting for the half hour after which gloo gives up. The
/// thread that is then left waiting ends with the process.
std::unique_ptr<dist::Group> join(const std::shared_ptr<dist::Rendezvous>& rendezvous,
                                  const std::string& name, int rank, int world, at::Device device,
                                  const std::function<void()>& check) {
  const auto promise = std::make_shared<std::promise<std::unique_ptr<dist::Group>>>();
  auto joined = promise->get_future();
  std::thread([=] {
    try {
      promise->set_value(dist::Group::make(rendezvous, name, rank, world, device));
    } catch (...) {
      promise->set_exception(std::current_exception());
    }
  }).detach();
  while (joined.wait_for(milliseconds(20)) != std::future_status::ready) check();
  return joined.get();
}

/// One rank: joins the group that job `number` forms, and does its part.
template <class Options>
void run_rank(const Options& options, graph::StageContext& context,
              const std::shared_ptr<dist::Rendezvous>& rendezvous, int number, int rank, int world,
              const std::function<void()>& check) {
  Session session;
  session.device = find_device(device_of(context, rank));
  // Ranks on one machine share its cores; those of a launcher have their own.
  const bool shared = static_cast<int>(context.resources.devices.size()) >= world;
  const int threads =
      std::max(1, shared ? context.resources.threads / world : context.resources.threads);
  session.threads = share_threads(
      threads, context.resources.workers > 0 ? context.resources.workers : options.train.workers);
  prepare_device(session.device, session.threads.compute);
  const auto group =
      join(rendezvous, fmt::format("job{}", number), rank, world, session.device, check);
  session.group = group.get();
  body(options, context, session);
  group->barrier();
}

/// The workers of one stage: started, watched, and ended with it.
class Workers {
 public:
  Workers(const graph::StageContext& context, int port, int world) {
    for (int rank = 1; rank < world; ++rank) {
      Child child;
      child.log = context.output / fmt::format("rank-{}.log", rank);
      std::error_code none;
      fs::remove(child.log, none);
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
      for (const Child& child : children_) fs::remove(child.log, none);
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

  /// Throws Stopped after a request to stop, else Error when a worker failed.
  void check(const graph::StageContext& context) {
    throw_if_stopped(context);  // Ctrl-C reaches the workers too: their end is then no failure
    if (const std::string text = failure(); !text.empty()) throw Error(text, Exit::kFailed);
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
  std::shared_ptr<dist::Rendezvous> rendezvous;
  WorkerPlace place;
  int jobs = 0;
};

Launched& launched() {
  static Launched all = [] {
    Launched made;
    made.place = launched_place();
    if (made.place.world > 1)
      made.rendezvous = dist::Rendezvous::serve(made.place.host, made.place.port);
    return made;
  }();
  return all;
}

template <class Options>
void run_ranks(const Options& options, graph::StageContext& context) {
  if (Launched& job = launched(); job.place.world > 1) {
    const int number = job.jobs++;
    job.rendezvous->set(fmt::format("job/{}", number), job_text(options, context));
    return run_rank(options, context, job.rendezvous, number, 0, job.place.world,
                    [&] { throw_if_stopped(context); });
  }
  const auto world = static_cast<int>(context.resources.devices.size());
  if (world <= 1) return body(options, context, single_session(context, options.train.workers));
  const auto rendezvous = dist::Rendezvous::serve("127.0.0.1");
  rendezvous->set("job/0", job_text(options, context));
  Workers team(context, rendezvous->port(), world);
  std::exception_ptr error;
  try {
    run_rank(options, context, rendezvous, 0, 0, world, [&] { team.check(context); });
  } catch (...) {
    error = std::current_exception();
  }
  if (!error) {
    team.finish(seconds(10));
    return;
  }
  try {
    std::rethrow_exception(error);
  } catch (const Error& mine) {
    // The rank that failed first knows why; the others only see it gone.
    if (mine.message().find(kGone) == std::string::npos) throw;
    team.finish(seconds(3));
    if (const std::string text = team.failure(); !text.empty()) throw Error(text, Exit::kFailed);
    throw;
  }
}

}  // namespace

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

void run_worker(const WorkerPlace& place) {
  const auto rendezvous = dist::Rendezvous::join(place.host, place.port);
  tracker::NullSink sink;
  for (int number = 0; place.jobs == 0 || number < place.jobs; ++number) {
    std::string text;
    for (;;) {
      try {
        const auto job = rendezvous->look(fmt::format("job/{}", number));
        if (job) {
          text = *job;
          break;
        }
      } catch (const Error&) {
        return;  // rank 0 is done and gone
      }
      if (xp::stop_requested() != StopReason::kNone) throw Stopped(xp::stop_requested());
      std::this_thread::sleep_for(milliseconds(50));
    }
    graph::StageContext context;
    read_job_context(text, context);
    context.sink = &sink;
    context.stop_requested = [] { return xp::stop_requested(); };
    context.say = [](std::string_view line) { log::info("{}", line); };
    const auto check = [&] { throw_if_stopped(context); };
    if (job_kind(text) == "train")
      run_rank(train_job(text), context, rendezvous, number, place.rank, place.world, check);
    else
      run_rank(pretrain_job(text), context, rendezvous, number, place.rank, place.world, check);
  }
}

void run_team(const schema::TrainStageOptions& options, graph::StageContext& context) {
  run_ranks(options, context);
}

void run_team(const schema::PretrainStageOptions& options, graph::StageContext& context) {
  run_ranks(options, context);
}

}  // namespace xp::train
