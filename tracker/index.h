#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tracker/query.h"
#include "tracker/sqlite.h"

namespace xp::tracker {

/// A run whose process cannot be asked (another host or container) counts as lost after this
/// without a heartbeat.
inline constexpr int64_t kLostAfterNs = 60'000'000'000;

/// index.db: the summaries of all runs in one file, derived from the run.db files and brought up to
/// date by whoever reads. Writers of runs never touch it. A run is looked at again while it is live
/// or unsettled, when its uid is in `changed/`, or when it is new; of a settled run nothing is
/// asked, not even its file's time.
class Index {
 public:
  /// Opens or makes index.db; on a read-only store a copy in memory. A corrupt one is made anew
  /// (warned).
  explicit Index(std::filesystem::path workspace);

  void refresh();
  /// Throws the index away and makes it again.
  void rebuild(const std::string& why);

  sql::Database& db() { return db_; }
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  static sql::Database open(const std::filesystem::path& workspace,
                            std::vector<std::string>& warnings);
  void look();
  void refresh_runs(const std::vector<std::string>& uids);
  void refresh_run(const std::string& uid);
  void copy_run(const std::string& uid, const std::string& stamp, bool unheld);
  void store_broken(const std::string& uid, const std::string& stamp, const std::string& error);
  int64_t key(std::string_view name);
  void derive_statuses();

  std::filesystem::path workspace_;
  std::vector<std::string> warnings_;
  sql::Database db_;
};

struct ProcessId;

/// When a run last gave a sign of life, by this machine's clock: its heartbeat, or where the clock
/// of its machine is ahead and a heartbeat would be fresh for days, the last write to its run.db.
int64_t sign_of_life(int64_t heartbeat_ns, int64_t now_ns, const std::filesystem::path& run_db);

/// The status of a run from what its newest attempt stored. `state` is empty while no end was
/// stored.
Status derive_status(std::string_view state, int attempts, const ProcessId& process,
                     int64_t heartbeat_ns, int64_t now_ns);

}  // namespace xp::tracker
