#include "core/train/life_signs.h"

#include <optional>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/dist/group.h"

namespace xp::train {
namespace {

std::string sign_key(int rank) { return fmt::format("alive/{}", rank); }
std::string why_key(int rank) { return fmt::format("failed/{}", rank); }

}  // namespace

LifeSigns::LifeSigns(const std::string& host, int port, int rank, int world, Patience patience)
    : patience_(patience), rank_(rank), rendezvous_(dist::Rendezvous::join(host, port)) {
  if (rank > 0) others_[0];
  for (int other = 1; rank == 0 && other < world; ++other) others_[other];
  // The first sign is given here: a rank that dies at once was there.
  rendezvous_->set(sign_key(rank_), "");
  thread_ = std::thread([this] { run(); });
}

LifeSigns::~LifeSigns() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

std::string LifeSigns::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

std::string LifeSigns::wait_for_failure(std::chrono::milliseconds limit) const {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, limit, [this] { return !failure_.empty(); });
  return failure_;
}

void LifeSigns::failed(std::string_view why) {
  try {
    rendezvous_->set(why_key(rank_), why.substr(0, why.find('\n')));
  } catch (const Error&) {  // nobody is left to be told
  }
}

void LifeSigns::run() {
  for (int64_t number = 0;; ++number) {
    const std::string found = round(number);
    std::unique_lock lock(mutex_);
    if (!found.empty()) {
      failure_ = found;
      changed_.notify_all();
    }
    // Who knows of a failure goes on giving signs: it is not the one that failed.
    if (changed_.wait_for(lock, patience_.beat, [this] { return ended_; })) return;
  }
}

/// One sign of our own and a look at the others'; the first failure of this round, or "".
std::string LifeSigns::round(int64_t number) {
  std::string found;
  try {
    rendezvous_->set(sign_key(rank_), std::to_string(number));
    for (auto& [rank, other] : others_) {
      if (const auto why = rendezvous_->look(why_key(rank)))
        return fmt::format("rank {} failed: {}", rank, *why);
      const std::optional<std::string> sign = rendezvous_->look(sign_key(rank));
      other.silent = sign == other.sign ? other.silent + 1 : 0;
      other.sign = sign;
      if (!sign && std::chrono::steady_clock::now() - began_ > patience_.first)
        found = fmt::format("rank {} failed: it did not come within {} s", rank,
                            patience_.first.count());
      if (sign && other.silent >= patience_.missed)
        found = fmt::format("rank {} failed: it gives no sign of life", rank);
    }
  } catch (const Error&) {
    return rank_ == 0 ? "" : "rank 0 failed: it is gone";
  }
  return found;
}

}  // namespace xp::train
