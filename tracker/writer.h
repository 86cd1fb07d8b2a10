#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/base/files.h"
#include "tracker/ring.h"
#include "tracker/run_db.h"
#include "tracker/series.h"
#include "tracker/store.h"

namespace xp::tracker {

/// What the writer's thread works on: one connection and what it has read from it. Made anew after
/// a failure.
struct Session {
  explicit Session(sql::Database database) : db(std::move(database)), series(db) {}
  sql::Database db;
  SeriesWriter series;
  std::vector<std::unique_ptr<RingTaker>> rings;  ///< the run's own first
};

/// The one writer of a run.db: a thread that every `flush` milliseconds moves points, commands and
/// requests into the database, one synced transaction for all. A failing disk is tried again and
/// again, never passed on to the work.
class Writer {
 public:
  enum class Start { kCreate, kResume };
  using Command = std::function<void(Session&)>;

  /// Opens the run at once; where that fails, it goes on without (losses().error) and tries again
  /// later. Throws Error only when another process holds the run.
  Writer(std::filesystem::path folder, std::string uid, NewRun run, RunOptions options,
         Start start);
  ~Writer();

  /// The number of this attempt (the expected one while the run could not be opened).
  int attempt() const { return attempt_.load(); }
  Ring& ring() { return *ring_; }

  /// A point that found the ring full.
  void keep(const RingPoint& point) noexcept;
  void wake() noexcept;
  void count_dropped() noexcept { dropped_.fetch_add(1, std::memory_order_relaxed); }

  /// Runs in the writer's next transaction; again after a failure of the disk, until it succeeds.
  void post(Command command);
  /// Runs in the writer's next transaction and waits. Throws what the command or the disk threw;
  /// not run again.
  void call(Command command);

  void flush();
  /// Takes in all that is left, runs `ending` last, closes. Idempotent.
  void close(const Command& ending);

  bool stop_requested() const noexcept { return stop_asked_.load(std::memory_order_relaxed); }
  uint64_t dropped() const noexcept { return dropped_.load(std::memory_order_relaxed); }
  double cpu_seconds() const;
  Losses losses() const;

 private:
  struct Pending {
    Command run;
    std::shared_ptr<std::promise<void>> waiter;  ///< null: nobody waits
  };

  void loop();
  void cycle();
  void open();
  void open_session();
  void begin();
  void check_in_place();
  [[noreturn]] void lose(const std::string& why);
  void find_rings();
  void copy_for_readers();
  bool take_rings();
  bool transact(std::vector<Pending>& commands, uint64_t own_end);
  void run_commands(std::vector<Pending>& commands);
  void failed(const std::exception& error, std::vector<Pending>& commands);
  bool backlog() const;
  void last_words(const Command& ending);
  void tell_losses(bool drained, bool ended) const;

  const std::filesystem::path folder_;
  const std::string uid_;
  const NewRun run_;
  const RunOptions options_;
  const Start start_;
  const int64_t created_ns_;

  std::unique_ptr<Ring> ring_;
  std::optional<FileLock> lock_;
  std::unique_ptr<Session> session_;
  std::atomic<int> attempt_{0};
  std::atomic<uint64_t> position_{0};  ///< of the own ring, committed
  bool stored_ = false;                ///< the attempt's row is
  bool begun_ = false;                 ///< and run.db was opened
  bool said_cut_ = false;
  uint64_t device_ = 0, inode_ = 0;  ///< of run.db
  int64_t next_try_ns_ = 0, next_heartbeat_ns_ = 0, next_commit_ns_ = 0;

  mutable std::mutex mutex_;  ///< guards what follows
  std::condition_variable work_, done_;
  std::vector<Pending> commands_;
  std::string error_;
  uint64_t asked_ = 0, answered_ = 0;  ///< flush tickets
  bool awake_ = false;

  mutable std::mutex overflow_mutex_;
  std::deque<RingPoint> overflow_;

  std::atomic<uint64_t> dropped_{0};
  std::atomic<bool> stop_asked_{false}, closing_{false}, removed_{false};
  std::atomic<double> cpu_seconds_{0};
  std::thread thread_;
};

}  // namespace xp::tracker
