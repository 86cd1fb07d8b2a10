#include "core/train/team.h"

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "core/base/error.h"
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

std::string& worker_program() {
  static std::string program = "/proc/self/exe";
  return program;
}

int number_of(const char* name, int otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr || *text == '\0' ? otherwise : std::atoi(text);
}

std::string text_of(const char* name, const std::string& otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr || *text == '\0' ? otherwise : text;
}

std::string device_of(const graph::StageContext& context, int rank) {
  const auto& devices = context.resources.devices;
  if (rank < static_cast<int>(devices.size())) return devices[static_cast<size_t>(rank)];
  // Ranks of a launcher: the device of that number on their own machine.
  const int local = number_of("LOCAL_RANK", number_of("SLURM_LOCALID", 0));
  return !devices.empty() && devices[0].starts_with("cpu") ? "cpu" : fmt::format("gpu:{}", local);
}

void body(const schema::TrainStageOptions& options, graph::StageContext& context,
          const Session& session) {
  train_rank(options, context, session);
}

void body(const schema::PretrainStageOptions& options, graph::StageContext& context,
          const Session& session) {
  pretrain_rank(options, context, session);
}

/// One rank: joins the group that job `number` forms, and does its part.
template <class Options>
void run_rank(const Options& options, graph::StageContext& context,
              const std::shared_ptr<dist::Rendezvous>& rendezvous, int number, int rank,
              int world) {
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
      dist::Group::make(rendezvous, fmt::format("job{}", number), rank, world, session.device);
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
    if (failure_.empty())
      for (const Child& child : children_) fs::remove(child.log, none);
  }

  /// "" while all is well, else which rank failed and its first error line.
  const std::string& failure() {
    alive();
    return failure_;
  }

  /// Waits until every worker has its job: from then on a death is seen by the others at once.
  /// Throws Error when one fails before.
  void await_ready(dist::Rendezvous& rendezvous, const graph::StageContext& context) {
    for (const Child& child : children_)
      while (!rendezvous.look(fmt::format("ready/0/{}", child.rank))) {
        if (!failure().empty()) throw Error(failure_, Exit::kFailed);
        throw_if_stopped(context);
        std::this_thread::sleep_for(milliseconds(20));
      }
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
      if (*code != 0 && failure_.empty())
        failure_ = fmt::format("rank {} failed: {}", child.rank, first_error(child.log, *code));
    }
    return any;
  }

  static std::string first_error(const fs::path& log, int code) {
    std::ifstream in(log);
    std::string line;
    while (std::getline(in, line))
      if (line.find("rror") != std::string::npos &&
          line.find("another rank is gone") == std::string::npos)
        return line;
    if (code > 128) return fmt::format("ended by signal {}", code - 128);
    return fmt::format("exit code {}; see {}", code, log.string());
  }

  std::vector<Child> children_;
  std::string failure_;
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
    return run_rank(options, context, job.rendezvous, number, 0, job.place.world);
  }
  const auto world = static_cast<int>(context.resources.devices.size());
  if (world <= 1) return body(options, context, single_session(context, options.train.workers));
  const auto rendezvous = dist::Rendezvous::serve("127.0.0.1");
  rendezvous->set("job/0", job_text(options, context));
  Workers team(context, rendezvous->port(), world);
  std::exception_ptr error;
  try {
    team.await_ready(*rendezvous, context);
    run_rank(options, context, rendezvous, 0, 0, world);
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
    const bool theirs = mine.message().find("another rank is gone") != std::string::npos;
    if (theirs) team.finish(seconds(3));
    if (theirs && !team.failure().empty()) throw Error(team.failure(), Exit::kFailed);
    throw;
  }
}

}  // namespace

void set_worker_program(const std::string& program) { worker_program() = program; }

WorkerPlace launched_place() {
  WorkerPlace place;
  place.rank = number_of("RANK", number_of("SLURM_PROCID", 0));
  // A batch script of one task also has these variables; so has a shell inside an allocation.
  const bool step = std::getenv("SLURM_STEP_ID") != nullptr || std::getenv("RANK") != nullptr;
  place.world = step ? number_of("WORLD_SIZE", number_of("SLURM_NTASKS", 1)) : 1;
  place.host = text_of("MASTER_ADDR", text_of("SLURM_LAUNCH_NODE_IPADDR", "127.0.0.1"));
  place.port = number_of("MASTER_PORT", 29600 + number_of("SLURM_JOB_ID", 0) % 1000);
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
    rendezvous->set(fmt::format("ready/{}/{}", number, place.rank), "1");
    graph::StageContext context;
    read_job_context(text, context);
    context.sink = &sink;
    context.stop_requested = [] { return xp::stop_requested(); };
    context.say = [](std::string_view line) { log::info("{}", line); };
    if (job_kind(text) == "train")
      run_rank(train_job(text), context, rendezvous, number, place.rank, place.world);
    else
      run_rank(pretrain_job(text), context, rendezvous, number, place.rank, place.world);
  }
}

void run_team(const schema::TrainStageOptions& options, graph::StageContext& context) {
  run_ranks(options, context);
}

void run_team(const schema::PretrainStageOptions& options, graph::StageContext& context) {
  run_ranks(options, context);
}

}  // namespace xp::train
