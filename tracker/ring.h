#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tracker/run_sink.h"

namespace xp::tracker {

/// A point on its way to run.db.
struct RingPoint {
  int64_t step;
  double value;
  int64_t time_ns;
  uint32_t metric;  ///< index in the ring's own table of names
};

/// The points of one process that are not yet in run.db: a lock-free ring in a file mapped
/// MAP_SHARED, so that what was pushed outlives the process (the kernel keeps the pages; power loss
/// may take them). Many threads push, one thread takes. A ring belongs to one attempt and one rank;
/// its file also carries the names of its metrics, so that whoever opens it next can finish the
/// work. Layout: docs/formats/tracker.md.
///
/// Somebody may cut the file under the process that maps it. The kernel would end the process when
/// it touches what is gone; here it gets empty memory in its place, and from then on the ring takes
/// no more points and gives none.
///
/// A slot is free for lap L when its sequence is 2L, filled when 2L+1, and freed for the next lap
/// (2L+2) only after its point is committed. A position counts points since the ring began; run.db
/// stores, in the same transaction as the points, the position up to which they were taken: nothing
/// is lost and nothing is taken twice.
class Ring {
 public:
  struct Metric {
    std::string name;
    Unit unit;
    Grain grain;
  };

  static constexpr uint32_t kCapacity = 1u << 16;       ///< points
  static constexpr uint32_t kNameBytes = 512u * 1024u;  ///< for all names together

  /// Makes the file (all blocks allocated, so a full disk is met here and not as a signal later).
  /// Throws Error (kFailed) when it cannot.
  static std::unique_ptr<Ring> create(const std::filesystem::path& file, int attempt, int rank);
  /// The same without a file: points die with the process.
  static std::unique_ptr<Ring> anonymous(int attempt, int rank);
  /// Maps an existing ring, for taking (`write`) or only looking. nullopt (null) when the file is
  /// not a whole ring.
  static std::unique_ptr<Ring> open(const std::filesystem::path& file, bool write);

  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  int attempt() const { return attempt_; }
  int rank() const { return rank_; }
  uint64_t id() const {
    return id_;
  }  ///< random; tells this ring from another one of the same name
  bool in_file() const { return in_file_; }
  /// True once the file was cut: what was in the ring and not taken is lost.
  bool cut() const noexcept { return cut_.load(std::memory_order_relaxed); }

  /// Adds a name; nullopt when the table is full. Thread-safe; the caller keeps names unique.
  std::optional<uint32_t> declare(std::string_view name, Unit unit, Grain grain);
  /// All names so far, in the order of their index.
  std::vector<Metric> metrics() const;
  size_t metric_count() const;

  /// False when the ring is full or cut. Any thread; no lock, no system call.
  bool push(const RingPoint& point) noexcept;

  /// Position after the newest push begun.
  uint64_t head() const noexcept;

  /// Copies up to `limit` filled slots from `position` on to `out` (cleared first), which stay in
  /// the ring. Stops at a slot whose push has not ended, unless `skip_holes`: only for a ring whose
  /// process is dead. Returns the position after the last slot looked at. Slots taken and reused
  /// meanwhile are left out.
  uint64_t peek(uint64_t position, size_t limit, bool skip_holes,
                std::vector<RingPoint>& out) const;

  /// Returns when everything pushed so far is on the disk: then it survives a loss of power too.
  void sync() const noexcept;

  /// Frees the slots before `position`. The taker alone.
  void release(uint64_t from, uint64_t position) noexcept;

  /// Process that fills the ring, for the decision whether it is dead.
  int64_t pid() const { return pid_; }
  int64_t pid_start() const { return pid_start_; }

 private:
  struct Header;
  struct Slot;
  Ring(std::byte* memory, size_t bytes, bool in_file);
  void initialise(int attempt, int rank);
  void remember();

  Header* header() const;
  Slot* slots() const;
  std::byte* names() const;

  std::byte* memory_;
  size_t bytes_;
  bool in_file_;
  int attempt_ = 0, rank_ = 0;
  uint64_t id_ = 0;
  int64_t pid_ = 0, pid_start_ = 0;
  std::atomic<bool> cut_{false};
  mutable std::mutex naming_;
  std::vector<Metric> declared_;  ///< by this process
};

}  // namespace xp::tracker
