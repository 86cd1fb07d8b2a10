#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

namespace xp::dist {

class Rendezvous;

/// How long a rank may be silent.
struct HeartbeatLimits {
  std::chrono::milliseconds interval{500};  ///< between two heartbeats
  int missed = 12;                          ///< so many rounds without one: it is gone
  std::chrono::seconds first{120};          ///< until the first one, from the start of the job
};

/// Whether the ranks that a launcher started are still there. Every rank writes a heartbeat into
/// the rendezvous, and why it fails when it does; rank 0 reads those of all others, the others read
/// rank 0's. Over a connection of its own: the job's may be waiting for a rank that never comes.
///
/// Silence is counted in rounds of the reader, so that processes that were stopped together
/// (Ctrl-Z, a machine asleep) find each other alive.
class Heartbeat {
 public:
  Heartbeat(const std::string& host, int port, int rank, int world, HeartbeatLimits limits = {});
  ~Heartbeat();

  /// "" while all is well, then "rank 2 failed: ..." with that rank's error line, or that it is
  /// silent.
  std::string failure() const;
  /// Waits up to `limit` for a failure: after a lost connection, which says not why.
  std::string wait_for_failure(std::chrono::milliseconds limit) const;
  /// Tells the others why this rank ends.
  void failed(std::string_view why);

 private:
  struct Other {
    std::optional<std::string> beat;  // none: it has not come yet
    int silent = 0;                   // rounds
  };
  void run();
  std::string round(int64_t number);

  HeartbeatLimits limits_;
  int rank_;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  std::shared_ptr<Rendezvous> rendezvous_;
  std::map<int, Other> others_;

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::string failure_;
  bool ended_ = false;
  std::thread thread_;
};

}  // namespace xp::dist
