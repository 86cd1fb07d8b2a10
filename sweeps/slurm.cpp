#include "sweeps/slurm.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <sstream>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/base/clock.h"
#include "core/base/cpu.h"
#include "core/base/digest.h"
#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/log.h"
#include "core/base/printable.h"
#include "sweeps/command.h"

namespace xp::sweeps {
namespace fs = std::filesystem;

namespace {

constexpr int64_t kLookNs = 2'000'000'000;
constexpr int kFruitless = 5;

std::string tail(const std::string& id) {
  return id.substr(id.size() - std::min<size_t>(8, id.size()));
}

// JOB.trials files: the trials of each array, one a line.
std::vector<std::pair<std::string, std::vector<int64_t>>> known_arrays(const fs::path& folder) {
  std::vector<std::pair<std::string, std::vector<int64_t>>> out;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(folder, none)) {
    if (entry.path().extension() != ".trials") continue;
    std::istringstream in(read_file(entry.path()));
    std::vector<int64_t> trials;
    for (int64_t trial = 0; in >> trial;) trials.push_back(trial);
    out.emplace_back(entry.path().stem().string(), std::move(trials));
  }
  return out;
}

std::string field(const std::string& text, const std::string& name) {
  const size_t at = text.find(name + "=");
  if (at == std::string::npos) return "";
  const size_t begin = at + name.size() + 1;
  return text.substr(begin, text.find_first_of(" \n", begin) - begin);
}

// What Slurm says of a task; nullopt while its controller does not answer.
std::optional<TaskState> ask(const std::string& task) {
  const CommandResult result = run_command({"scontrol", "show", "job", "-o", task});
  const TaskState state = parse_scontrol(result.text);
  const bool answered = result.code == 0 || state.reason == TaskState::kNotFound ||
                        result.text.find("Invalid job id") != std::string::npos;
  return answered ? std::optional(state) : std::nullopt;
}

void check_plain(const std::string& what, const std::string& text) {
  const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  if (std::none_of(text.begin(), text.end(), control)) return;
  throw Error(fmt::format("{} has control characters, which a job script cannot hold: {}", what,
                          printable(text)));
}

// A path as sbatch's own reader of #SBATCH lines takes it: it knows the shell's quotes.
std::string quoted_path(const fs::path& path) {
  check_plain("the path", path.string());
  return shell_quoted(path.string());
}

// "--comment=two words" as "--comment='two words'", "-p gpu" as it is.
std::string quoted_option(const std::string& text) {
  check_plain("the option of sbatch", text);
  const size_t end = text.find_first_of("= ");
  const std::string name = text.substr(0, end);
  const auto plain = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-';
  };
  if (!text.starts_with('-') || !std::all_of(name.begin(), name.end(), plain))
    throw Error(fmt::format("'{}' is no option of sbatch: expected one as --partition=gpu", text));
  if (end == std::string::npos) return text;
  const size_t value = text[end] == '=' ? end + 1 : text.find_first_not_of(' ', end);
  if (value >= text.size()) return text.substr(0, end + 1);
  return name + text[end] + shell_quoted(text.substr(value));
}

// In the name of a log: what is no pattern of Slurm's.
std::string without_patterns(const std::string& path) {
  std::string out;
  for (const char c : path) out += c == '%' ? std::string("%%") : std::string(1, c);
  return out;
}

}  // namespace

std::string job_script(const SlurmOptions& options, const SweepSpec& spec, const fs::path& folder,
                       const std::vector<int64_t>& trials) {
  const fs::path own = folder / "slurm";
  std::string out = "#!/bin/bash\n";
  const auto line = [&out](const std::string& text) { out += "#SBATCH " + text + "\n"; };
  line(fmt::format("--job-name=exp-{}", tail(spec.id)));
  line(fmt::format("--array={}{}", fmt::join(trials, ","),
                   options.at_once > 0 ? fmt::format("%{}", options.at_once) : ""));
  line(fmt::format("--chdir={}", quoted_path(options.workspace)));
  line(fmt::format("--output={}", quoted_path(without_patterns(own.string()) + "/%A_%a.log")));
  line("--open-mode=append");
  line("--requeue");
  line(fmt::format("--signal=USR2@{}", options.signal_s));
  for (const std::string& more : options.lines) line(quoted_option(more));
  out += fmt::format(
      R"(
# Sweep {id} ({name}): one task for each bundle of trials, named by the bundle's first trial.
# What is to be done stands in {folder}/sweep.db, together with the recipe as it was.
# Exit code 75: preempted or out of time, with a checkpoint. The same task goes on from there.
task="${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"
trap : TERM USR2    # the step saves a checkpoint; this script waits for it
# Threads that wait do not keep the cores from those that work.
[ -n "${{OMP_WAIT_POLICY:-}}" ] || export GOMP_SPINCOUNT="${{GOMP_SPINCOUNT:-{spin}}}"
srun --ntasks=1 {program} sweeps work {id} \
  --trial "$SLURM_ARRAY_TASK_ID" --job "$task" --threads "${{SLURM_CPUS_PER_TASK:-1}}"
code=$?
echo "$code" > {own}/"$task".exit
# What Slurm ends by itself is not started again: scancel, or a preemption that requeues.
case " $(scontrol show job -o "$task" 2> /dev/null) " in
  *" JobState=RUNNING "* | *" Reason=TimeLimit "* | "  ") goes_on=yes ;;
  *) goes_on=no ;;
esac
if [ "$code" -eq 75 ] && [ "$goes_on" = yes ] && [ "${{SLURM_RESTART_COUNT:-0}}" -lt {requeues} ]; then
  scontrol requeue "$task" && sleep 60    # Slurm ends this script and starts it again
fi
exit "$code"
)",
      fmt::arg("id", spec.id), fmt::arg("name", printable(spec.name)),
      fmt::arg("folder", printable(folder.string())),
      fmt::arg("program", shell_quoted(options.program.string())), fmt::arg("spin", kOmpSpinCount),
      fmt::arg("own", shell_quoted(own.string())), fmt::arg("requeues", options.requeues));
  return out;
}

std::vector<int64_t> bundle_heads(const std::vector<Trial>& trials) {
  std::set<std::string> seen;
  std::vector<int64_t> out;
  for (const Trial& trial : trials) {
    if (trial.state == TrialState::kQueued && seen.insert(trial.bundle).second)
      out.push_back(trial.number);
  }
  return out;
}

fs::path frozen_path(const fs::path& program, const fs::path& root) {
  return root / sha256_file(program).substr(0, 16) / program.filename();
}

bool has_slurm_tasks(const fs::path& sweep_folder) {
  return !known_arrays(sweep_folder / "slurm").empty();
}

fs::path freeze_program(const fs::path& program, const fs::path& root) {
  const fs::path out = frozen_path(program, root);
  if (fs::exists(out)) return out;
  const fs::path folder = out.parent_path();
  fs::create_directories(folder);
  const fs::path aside = folder / ("." + make_ulid());
  fs::copy_file(program, aside);
  fs::rename(aside, out);
  return out;
}

bool TaskState::over() const {
  return state != "PENDING" && state != "RUNNING" && state != "COMPLETING" &&
         state != "CONFIGURING" && state != "SUSPENDED" && state != "REQUEUED" &&
         state != "REQUEUE_HOLD" && state != "STAGE_OUT" && state != "SIGNALING" &&
         state != "RESIZING" && state != "SPECIAL_EXIT";
}

bool TaskState::cancelled() const { return state == "CANCELLED"; }

std::map<std::string, TaskState> parse_squeue(const std::string& text) {
  std::map<std::string, TaskState> out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    const size_t first = line.find('|');
    const size_t second = line.find('|', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    out[line.substr(0, first)] = {line.substr(first + 1, second - first - 1),
                                  line.substr(second + 1)};
  }
  return out;
}

TaskState parse_scontrol(const std::string& text) {
  if (text.starts_with("Job ") && text.find(" not found") != std::string::npos)
    return {"", TaskState::kNotFound};
  return {field(text, "JobState"), field(text, "Reason")};
}

SlurmExecutor::SlurmExecutor(const SweepDb& db, SlurmOptions options)
    : db_(SweepDb::open(db.folder())), options_(std::move(options)), spec_(db.spec()) {
  if (run_command({"sbatch", "--version"}).code != 0)
    throw Error(
        "there is no sbatch here: --executor slurm needs a machine that submits to a cluster; "
        "--print shows the "
        "job script without one",
        Exit::kFailed);
  fs::create_directories(folder());
  for (const auto& [job, trials] : known_arrays(folder())) {
    for (const int64_t trial : trials) {
      const std::string task = fmt::format("{}_{}", job, trial);
      const std::optional<TaskState> state = ask(task);
      if (!state || !state->over()) tasks_[task] = trial;
    }
  }
  if (!tasks_.empty()) log::info("{} tasks of earlier jobs are on their way", tasks_.size());
}

void SlurmExecutor::submit() {
  std::set<std::string> covered;
  const std::vector<Trial> trials = db_.trials(true);
  std::set<int64_t> heads;
  for (const auto& [task, trial] : tasks_) heads.insert(trial);
  for (const Trial& trial : trials) {
    if (heads.count(trial.number) != 0) covered.insert(trial.bundle);
  }
  std::vector<int64_t> open;
  for (const int64_t head : bundle_heads(trials)) {
    const auto trial = std::find_if(trials.begin(), trials.end(),
                                    [head](const Trial& t) { return t.number == head; });
    if (covered.count(trial->bundle) == 0) open.push_back(head);
  }
  if (open.empty()) return;
  const std::string text = job_script(options_, spec_, db_.folder(), open);
  const fs::path script = folder() / (make_ulid() + ".sbatch");
  write_file_atomic(script, text);
  const CommandResult result = run_command({"sbatch", "--parsable", script.string()});
  const std::string job = result.text.substr(0, result.text.find_first_of(";\n"));
  if (result.code != 0 || job.empty() || job.find_first_not_of("0123456789") != std::string::npos)
    throw Error(fmt::format("sbatch refuses {}: {}", script.string(), result.text), Exit::kFailed);
  std::string lines;
  for (const int64_t trial : open) {
    lines += fmt::format("{}\n", trial);
    tasks_[fmt::format("{}_{}", job, trial)] = trial;
  }
  write_file_atomic(folder() / (job + ".trials"), lines);
  log::info("job {} with {} task{}: {}", job, open.size(), open.size() == 1 ? "" : "s",
            script.string());
}

void SlurmExecutor::ended(const std::string& task, int64_t head, const TaskState& state) {
  const fs::path exit_file = folder() / (task + ".exit");
  std::error_code none;
  const std::string code = fs::exists(exit_file, none) ? read_file(exit_file) : "";
  const bool well = code == "0\n" || code == "75\n" || code == "130\n";
  // A task that was cancelled while it waited has left nothing but its place in the array.
  const bool cancelled =
      state.cancelled() || (state.reason == TaskState::kNotFound && code.empty());
  // `exp sweeps cancel` takes all back, to be gone on with later.
  if (cancelled && code != "0\n" && !db_.cancelled()) {
    const size_t stopped = db_.stop_job(
        task, head, fmt::format("task {} was cancelled (scancel); --retry stopped runs it", task));
    if (stopped > 0) log::warn("task {} was cancelled: {} trials are stopped", task, stopped);
    fruitless_ = 0;
    return;
  }
  const size_t back = db_.reclaim_job(task);
  if (well) {
    fruitless_ = 0;
    return;
  }
  log::warn(
      "task {} ended{}{}; see {}", task, state.state.empty() ? "" : " as " + state.state,
      code.empty() ? " before it could say how" : ", exit code " + code.substr(0, code.find('\n')),
      (folder() / (task + ".log")).string());
  fruitless_ = back == 0 ? fruitless_ + 1 : 0;
  if (fruitless_ >= kFruitless)
    throw Error(fmt::format("{} tasks in a row ended without a trial; see {}", fruitless_,
                            (folder() / (task + ".log")).string()),
                Exit::kFailed);
}

void SlurmExecutor::look() {
  if (tasks_.empty()) return;
  std::set<std::string> jobs;
  for (const auto& [task, trial] : tasks_) jobs.insert(task.substr(0, task.find('_')));
  const CommandResult result = run_command(
      {"squeue", "-h", "-r", "-j", fmt::format("{}", fmt::join(jobs, ",")), "-o", "%i|%T|%r"});
  // squeue forgets ended jobs, and fails when it knows none of them; a controller that does not
  // answer is no end.
  const bool forgotten = result.text.find("Invalid job id") != std::string::npos;
  if (result.code != 0 && !forgotten) {
    log::debug("squeue: {}", result.text);
    return;
  }
  const auto states = parse_squeue(forgotten ? "" : result.text);
  for (auto it = tasks_.begin(); it != tasks_.end();) {
    const auto found = states.find(it->first);
    const std::optional<TaskState> known = found != states.end() ? found->second : ask(it->first);
    if (!known) {
      ++it;
      continue;
    }
    const TaskState& state = *known;
    if (state.state == "PENDING" && state.reason == "BeginTime") {
      // A requeued task waits two minutes by default.
      run_command({"scontrol", "update", "JobId=" + it->first, "StartTime=now"});
    }
    if (!state.over()) {
      ++it;
      continue;
    }
    ended(it->first, it->second, state);
    it = tasks_.erase(it);
  }
}

void SlurmExecutor::tick(int64_t waiting, int64_t) {
  const int64_t now = steady_ns();
  if (looked_ != 0 && now - looked_ < kLookNs) return;
  look();
  if (waiting > 0) submit();
  looked_ = steady_ns();
}

void SlurmExecutor::stop(StopReason) {
  log::info("the jobs go on without this command; `exp sweeps cancel {}` ends them",
            tail(spec_.id));
}

size_t SlurmExecutor::cancel(const fs::path& sweep_folder) {
  size_t out = 0;
  for (const auto& [job, trials] : known_arrays(sweep_folder / "slurm")) {
    if (run_command({"scancel", "--state=PENDING", job}).code == 0) ++out;
  }
  return out;
}

}  // namespace xp::sweeps
