#include "core/dist/heartbeat.h"

#include <optional>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/dist/group.h"

namespace xp::dist {
namespace {

std::string beat_key(int rank) { return fmt::format("alive/{}", rank); }
std::string why_key(int rank) { return fmt::format("failed/{}", rank); }

}  // namespace

Heartbeat::Heartbeat(const std::string& host, int port, int rank, int world, HeartbeatLimits limits)
    : limits_(limits), rank_(rank), rendezvous_(Rendezvous::join(host, port)) {
  if (rank > 0) others_[0];
  for (int other = 1; rank == 0 && other < world; ++other) others_[other];
  // The first heartbeat is given here: a rank that dies at once was there.
  rendezvous_->set(beat_key(rank_), "");
  thread_ = std::thread([this] { run(); });
}

Heartbeat::~Heartbeat() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

std::string Heartbeat::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

std::string Heartbeat::wait_for_failure(std::chrono::milliseconds limit) const {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, limit, [this] { return !failure_.empty(); });
  return failure_;
}

void Heartbeat::failed(std::string_view why) {
  try {
    rendezvous_->set(why_key(rank_), why.substr(0, why.find('\n')));
  } catch (const Error&) {  // nobody is left to be told
  }
}

void Heartbeat::run() {
  for (int64_t number = 0;; ++number) {
    const std::string found = round(number);
    std::unique_lock lock(mutex_);
    if (!found.empty()) {
      failure_ = found;
      changed_.notify_all();
    }
    // Who knows of a failure goes on with its heartbeat: it is not the one that failed.
    if (changed_.wait_for(lock, limits_.interval, [this] { return ended_; })) return;
  }
}

/// One sign of our own and a look at the others'; the first failure of this round, or "".
std::string Heartbeat::round(int64_t number) {
  std::string found;
  try {
    rendezvous_->set(beat_key(rank_), std::to_string(number));
    for (auto& [rank, other] : others_) {
      if (const auto why = rendezvous_->look(why_key(rank)))
        return fmt::format("rank {} failed: {}", rank, *why);
      const std::optional<std::string> sign = rendezvous_->look(beat_key(rank));
      other.silent = sign == other.beat ? other.silent + 1 : 0;
      other.beat = sign;
      if (!sign && std::chrono::steady_clock::now() - began_ > limits_.first)
        found =
            fmt::format("rank {} failed: it did not come within {} s", rank, limits_.first.count());
      if (sign && other.silent >= limits_.missed)
        found = fmt::format("rank {} failed: it gives no sign of life", rank);
    }
  } catch (const Error&) {
    return rank_ == 0 ? "" : "rank 0 failed: it is gone";
  }
  return found;
}

}  // namespace xp::dist
