#include "tracker/writer.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>

#include <sys/stat.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "tracker/file_system.h"
#include "tracker/inbox.h"
#include "tracker/run_changes.h"
#include "tracker/schema.h"

namespace xp::tracker {
namespace fs = std::filesystem;
namespace {

constexpr size_t kPointsAtOnce = 1u << 14;   // points of one transaction
constexpr int64_t kRetryNs = 1'000'000'000;  // between attempts on a failing disk
constexpr size_t kMaxCommands = 1u << 16;    // kept while the disk fails
constexpr int kLastTries = 5;

/// A command failed by itself and is taken out: the transaction begins again without it.
struct AgainWithout {};

double thread_cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

}  // namespace

Writer::Writer(fs::path folder, std::string uid, NewRun run, RunOptions options, Start start)
    : folder_(std::move(folder)),
      uid_(std::move(uid)),
      run_(std::move(run)),
      options_(std::move(options)),
      start_(start),
      created_ns_(timeline_ns()) {
  try {
    open();
  } catch (const Error& error) {
    if (error.code() == Exit::kUsage) throw;
    std::vector<Pending> none;
    failed(error, none);
  }
  const int number = std::max(1, attempt_.load());
  attempt_ = number;
  if (lock_) {
    try {
      ring_ = Ring::create(folder_ / "ring", number, 0);
    } catch (const Error& error) {
      error_ = error.message();
    }
  }
  if (!ring_) ring_ = Ring::anonymous(number, 0);
  if (session_) session_->rings.push_back(std::make_unique<RingTaker>(ring_.get(), session_->db));
  next_heartbeat_ns_ = steady_ns() + std::chrono::nanoseconds(options_.heartbeat).count();
  thread_ = std::thread([this] { loop(); });
}

Writer::~Writer() {
  if (thread_.joinable()) close(nullptr);
}

void Writer::open() {
  std::string error;
  try {
    open_session();
    return;
  } catch (const Error& e) {
    if (!lock_ && e.code() == Exit::kUsage) throw;  // somebody else's run
    error = e.message();
  } catch (const fs::filesystem_error& e) {
    error = fmt::format("{}: {}", e.path1().string(), e.code().message());
  }
  session_.reset();
  next_try_ns_ = steady_ns() + kRetryNs;
  throw Error(error, Exit::kFailed);
}

void Writer::open_session() {
  if (removed_) throw Error(losses().error, Exit::kFailed);
  if (begun_) check_in_place();  // opening would make an empty one
  if (!lock_) {
    fs::create_directories(folder_ / "inbox");
    fs::create_directories(folder_ / "files");
    if (auto lock = lock_unwritten(folder_)) lock_.emplace(std::move(*lock));
    if (!lock_)
      throw Error(fmt::format("run {} is live: another process writes it", uid_), Exit::kUsage);
  }
  if (!stored_) begin();
  if (!session_)
    session_ = std::make_unique<Session>(sql::Database::open(folder_ / "run.db", kRunSchema, true));
  session_->db.set_durability(sql::Durability::kFull);
  if (!begun_) {
    struct stat info {};
    if (::stat((folder_ / "run.db").c_str(), &info) != 0)
      throw Error(fmt::format("{}: {}", (folder_ / "run.db").string(), std::strerror(errno)),
                  Exit::kFailed);
    device_ = info.st_dev;
    inode_ = info.st_ino;
    begun_ = true;
    copy_for_readers();
  }
  if (ring_) session_->rings.push_back(std::make_unique<RingTaker>(ring_.get(), session_->db));
}

// Writes the attempt down: of a new run in the moment in which its run.db is there at all.
void Writer::begin() {
  std::error_code none;
  if (!fs::exists(folder_ / "run.db", none)) {
    make_run_db(folder_, uid_, run_, created_ns_, this_process());
    attempt_ = 1;
    stored_ = true;
    return;
  }
  if (start_ == Start::kResume) recover(folder_);
  session_ = std::make_unique<Session>(sql::Database::open(folder_ / "run.db", kRunSchema, true));
  session_->db.set_durability(sql::Durability::kFull);
  sql::Transaction transaction(session_->db);
  require_run(session_->db, uid_, run_, created_ns_);
  const int number = begin_attempt(session_->db, this_process(), run_);
  if (start_ == Start::kResume) take_changes(session_->db, run_);
  transaction.commit();
  attempt_ = number;
  stored_ = true;
}

// Whether what is written to is still what everybody finds at its path.
void Writer::check_in_place() {
  const fs::path file = folder_ / "run.db";
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0 || info.st_dev != device_ || info.st_ino != inode_)
    lose(fmt::format("{} was removed or replaced while the run went on", file.string()));
  if (lock_ && lock_->in_place()) return;
  auto again = FileLock::try_acquire(folder_ / "lock");
  if (!again) {
    lose(fmt::format("{} was removed while the run went on, and another process has it now",
                     (folder_ / "lock").string()));
  }
  lock_.emplace(std::move(*again));
}

void Writer::lose(const std::string& why) {
  removed_ = true;
  throw Error(why, Exit::kFailed);
}

void Writer::keep(const RingPoint& point) noexcept {
  try {
    const std::lock_guard lock(overflow_mutex_);
    if (overflow_.size() < options_.memory_points) {
      overflow_.push_back(point);
      return;
    }
  } catch (const std::exception&) {
    // No memory: counted below.
  }
  count_dropped();
}

void Writer::wake() noexcept {
  {
    const std::lock_guard lock(mutex_);
    awake_ = true;
  }
  work_.notify_one();
}

void Writer::post(Command command) {
  {
    const std::lock_guard lock(mutex_);
    if (commands_.size() >= kMaxCommands) {
      count_dropped();
      return;
    }
    commands_.push_back({std::move(command), nullptr});
  }
  wake();
}

void Writer::call(Command command) {
  auto waiter = std::make_shared<std::promise<void>>();
  {
    const std::lock_guard lock(mutex_);
    commands_.push_back({std::move(command), waiter});
  }
  wake();
  waiter->get_future().get();
}

void Writer::flush() {
  std::unique_lock lock(mutex_);
  const uint64_t ticket = ++asked_;
  awake_ = true;
  work_.notify_one();
  done_.wait(lock, [&] { return answered_ >= ticket; });
}

void Writer::loop() {
  while (!closing_.load()) {
    bool asked = false;
    {
      std::unique_lock lock(mutex_);
      work_.wait_for(lock, options_.flush, [&] { return awake_; });
      asked = std::exchange(awake_, false);
    }
    // The ring is the cheap half of durability: a page or two, several times a second. Blocks are
    // rewritten in run.db less often.
    if (!asked && ring_->in_file() && session_ && steady_ns() < next_commit_ns_) {
      ring_->sync();
    } else {
      cycle();
      next_commit_ns_ = steady_ns() + std::chrono::nanoseconds(options_.commit).count();
    }
    cpu_seconds_ = thread_cpu_seconds();
  }
}

void Writer::find_rings() {
  // What a dead rank left is removed once it is taken in.
  std::erase_if(session_->rings, [](const auto& taker) {
    if (taker->file().empty() || !taker->empty() || !taker->abandoned()) return false;
    std::error_code ignored;
    fs::remove(taker->file(), ignored);
    return true;
  });
  for (const fs::path& file : ring_files(folder_)) {
    if (file.filename() == "ring") continue;
    const bool known = std::any_of(session_->rings.begin(), session_->rings.end(),
                                   [&](const auto& taker) { return taker->file() == file; });
    if (known) continue;
    if (auto ring = Ring::open(file, true)) {
      session_->rings.push_back(std::make_unique<RingTaker>(std::move(ring), file, session_->db));
    }
  }
}

void Writer::cycle() {
  std::vector<Pending> commands;
  uint64_t ticket = 0;
  {
    const std::lock_guard lock(mutex_);
    commands.swap(commands_);
    ticket = asked_;
  }
  const uint64_t end = ring_->head();
  try {
    if (!session_ && steady_ns() < next_try_ns_) throw Error(losses().error, Exit::kFailed);
    bool left = true;
    while (left) {
      if (!session_) open();
      find_rings();
      try {
        left = transact(commands, end);
      } catch (const AgainWithout&) {
        session_.reset();
      }
    }
    const std::lock_guard lock(mutex_);
    error_.clear();
  } catch (const std::exception& error) {
    failed(error, commands);
  }
  {
    const std::lock_guard lock(mutex_);
    answered_ = std::max(answered_, ticket);
  }
  done_.notify_all();
}

/// One transaction. True when points that were there at `own_end` are left.
bool Writer::transact(std::vector<Pending>& commands, uint64_t own_end) {
  Session& session = *session_;
  check_in_place();
  if (ring_->cut() && !std::exchange(said_cut_, true)) {
    log::warn(
        "tracking: {} was cut while the run went on: points of up to the last second are "
        "lost, and those that come are kept in memory until they are in run.db",
        (folder_ / "ring").string());
  }
  const std::vector<Request> requests = read_inbox(folder_);
  std::vector<RingPoint> extra;
  {
    const std::lock_guard lock(overflow_mutex_);
    extra.assign(overflow_.begin(), overflow_.begin() + static_cast<ptrdiff_t>(std::min(
                                                            kPointsAtOnce, overflow_.size())));
  }
  const bool beat = steady_ns() >= next_heartbeat_ns_;
  const bool points = std::any_of(session.rings.begin(), session.rings.end(),
                                  [](const auto& t) { return !t->empty(); });
  if (!points && !beat && commands.empty() && requests.empty() && extra.empty()) return false;

  sql::Transaction transaction(session.db);
  run_commands(commands);
  const bool progress = take_rings();
  if (!extra.empty()) session.rings.front()->take_extra(session.series, extra);
  session.series.write();
  if (apply_requests(session.db, attempt(), requests) && !stop_asked_.exchange(true) &&
      options_.on_stop) {
    options_.on_stop();
  }
  if (beat || !requests.empty()) {
    session.db.prepare("UPDATE attempt SET heartbeat_ns=?, dropped=? WHERE k=?")
        .run(wall_ns(), static_cast<int64_t>(dropped()), attempt());
    next_heartbeat_ns_ = steady_ns() + std::chrono::nanoseconds(options_.heartbeat).count();
  }
  transaction.commit();
  if (beat) copy_for_readers();

  for (const auto& taker : session.rings) taker->committed();
  position_ = session.rings.front()->position();
  for (const Request& request : requests) acknowledge(folder_, request);
  for (const Pending& command : commands) {
    if (command.waiter) command.waiter->set_value();
  }
  commands.clear();
  size_t rest = 0;
  {
    const std::lock_guard lock(overflow_mutex_);
    overflow_.erase(overflow_.begin(), overflow_.begin() + static_cast<ptrdiff_t>(extra.size()));
    rest = overflow_.size();
  }
  const bool left = rest > 0 || (session.rings.front()->position() < own_end && !ring_->cut());
  // A thread is between the two halves of its push: it needs a moment.
  if (left && !progress && extra.empty())
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  return left;
}

/// Where the lock that this connection keeps shuts readers out, they get a copy.
void Writer::copy_for_readers() {
  if (network_file_system(folder_).empty()) return;
  const fs::path aside = folder_ / "live.db.tmp";
  session_->db.copy_to(aside);
  fs::rename(aside, folder_ / "live.db");
}

bool Writer::take_rings() {
  Session& session = *session_;
  uint64_t took = 0;
  for (const auto& taker : session.rings) {
    const uint64_t here = taker->take(session.db, session.series, kPointsAtOnce, false);
    took += here;
    if (here == 0 && !taker->empty() && taker->abandoned())
      taker->take(session.db, session.series, kPointsAtOnce, true);
  }
  return took > 0;
}

void Writer::run_commands(std::vector<Pending>& commands) {
  // A command that fails by itself must neither stop the others nor come again; a failing disk ends
  // them all.
  for (size_t i = 0; i < commands.size();) {
    try {
      commands[i].run(*session_);
      ++i;
      continue;
    } catch (const std::exception& error) {
      const auto* sql = dynamic_cast<const sql::SqlError*>(&error);
      if (sql && sql->of_the_disk()) throw;
      if (commands[i].waiter) {
        commands[i].waiter->set_exception(std::current_exception());
      } else {
        log::warn("tracking: {}", error.what());
      }
    }
    commands.erase(commands.begin() + static_cast<ptrdiff_t>(i));
    throw AgainWithout();
  }
}

void Writer::failed(const std::exception& error, std::vector<Pending>& commands) {
  session_.reset();
  next_try_ns_ = steady_ns() + kRetryNs;
  const std::lock_guard lock(mutex_);
  const auto* ours = dynamic_cast<const Error*>(&error);
  const std::string text = ours ? ours->message() : error.what();
  if (error_ != text) {
    log::warn("tracking: {}; the work goes on, {}", text,
              removed_ ? "but nothing more of it is recorded"
                       : "its points are kept in memory until they can be written");
  }
  error_ = text;
  std::vector<Pending> again;
  for (Pending& command : commands) {
    if (command.waiter) {
      command.waiter->set_exception(std::make_exception_ptr(Error(text, Exit::kFailed)));
    } else {
      again.push_back(std::move(command));
    }
  }
  commands_.insert(commands_.begin(), std::make_move_iterator(again.begin()),
                   std::make_move_iterator(again.end()));
  commands.clear();
}

bool Writer::backlog() const {
  {
    const std::lock_guard lock(mutex_);
    if (!commands_.empty()) return true;
  }
  {
    const std::lock_guard lock(overflow_mutex_);
    if (!overflow_.empty()) return true;
  }
  if (!session_) return true;
  return std::any_of(session_->rings.begin(), session_->rings.end(),
                     [](const auto& t) { return !t->empty(); });
}

void Writer::close(const Command& ending) {
  if (!thread_.joinable()) return;
  closing_ = true;
  wake();
  thread_.join();
  last_words(ending);
}

/// On the closing thread, the writer's being gone: what is left, then the end of the attempt.
void Writer::last_words(const Command& ending) {
  for (int tries = 0; backlog() && tries < kLastTries; ++tries) {
    if (tries > 0) std::this_thread::sleep_for(std::chrono::milliseconds(100));
    next_try_ns_ = 0;
    cycle();
  }
  bool ended = !ending;
  if (session_ && ending) {
    std::vector<Pending> last;
    last.push_back({ending, nullptr});
    try {
      transact(last, 0);
      ended = true;
    } catch (const AgainWithout&) {
      session_.reset();
    } catch (const std::exception& error) {
      failed(error, last);
    }
  }
  {
    // Whoever still waits will not be served any more.
    const std::lock_guard lock(mutex_);
    for (const Pending& command : commands_) {
      if (command.waiter)
        command.waiter->set_exception(
            std::make_exception_ptr(Error("the run is closed", Exit::kFailed)));
    }
    commands_.clear();
  }
  const bool drained = session_ && session_->rings.front()->empty();
  if (session_) session_->db.settle();
  session_.reset();
  std::error_code ignored;
  fs::remove(folder_ / "live.db", ignored);
  if (ring_->in_file() && drained) {
    fs::remove(folder_ / "ring", ignored);
  }
  tell_losses(drained, ended);
  lock_.reset();
}

void Writer::tell_losses(bool drained, bool ended) const {
  const Losses lost = losses();
  const uint64_t waiting =
      drained || !ring_->in_file() || ring_->cut() ? 0 : ring_->head() - position_;
  const uint64_t gone = lost.dropped + lost.unwritten - std::min(lost.unwritten, waiting);
  std::vector<std::string> told;
  if (gone > 0) told.push_back(fmt::format("{} points are lost", gone));
  if (waiting > 0) {
    told.push_back(fmt::format("{} points wait in {} and are taken in by the next `exp`", waiting,
                               (folder_ / "ring").string()));
  }
  if (!ended) told.emplace_back("its end is not recorded");
  if (told.empty()) return;
  log::error("tracking of run {}: {}{}", uid_, fmt::join(told, ", "),
             lost.error.empty() ? "" : fmt::format(" ({})", lost.error));
}

double Writer::cpu_seconds() const { return cpu_seconds_.load(); }

Losses Writer::losses() const {
  Losses out;
  out.dropped = dropped();
  {
    const std::lock_guard lock(mutex_);
    out.error = error_;
  }
  out.removed = removed_;
  if (out.error.empty()) return out;
  out.unwritten = ring_ && !ring_->cut() ? ring_->head() - position_ : 0;
  const std::lock_guard lock(overflow_mutex_);
  out.unwritten += overflow_.size();
  return out;
}

}  // namespace xp::tracker
