#include "core/dist/heartbeat.h"

#include <gtest/gtest.h>

#include "core/dist/group.h"

namespace xp::dist {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// Long against what a busy machine may take, short against a person: only a failure waits for it.
constexpr seconds kLong{60};

HeartbeatLimits hasty() { return {milliseconds(10), 300, seconds(600)}; }

struct Ranks {
  std::shared_ptr<Rendezvous> server = Rendezvous::serve("127.0.0.1");
  std::unique_ptr<Heartbeat> rank(int rank, HeartbeatLimits limits = hasty()) const {
    return std::make_unique<Heartbeat>("127.0.0.1", server->port(), rank, 3, limits);
  }
};

TEST(HeartbeatDist, ARankThatFailsSaysWhy) {
  const Ranks job;
  const auto first = job.rank(0);
  const auto second = job.rank(1);
  const auto third = job.rank(2);
  EXPECT_EQ(first->failure(), "");
  third->failed("device 'gpu:3': this machine has 1 GPUs\nsecond line");
  EXPECT_EQ(first->wait_for_failure(kLong),
            "rank 2 failed: device 'gpu:3': this machine has 1 GPUs");
  EXPECT_EQ(second->failure(), "") << "it looks at rank 0 alone";
}

TEST(HeartbeatDist, ARankThatIsSilentIsGone) {
  const Ranks job;
  const auto first = job.rank(0);
  const auto second = job.rank(1);
  auto third = job.rank(2);
  while (!job.server->look("alive/2")) std::this_thread::sleep_for(milliseconds(1));
  third.reset();  // as kill -9 does: without a word
  EXPECT_EQ(first->wait_for_failure(kLong), "rank 2 failed: it gives no sign of life");
}

TEST(HeartbeatDist, ARankThatNeverCame) {
  const Ranks job;
  const auto second = job.rank(1);
  const auto first = job.rank(0, {milliseconds(10), 300, seconds(0)});
  EXPECT_EQ(first->wait_for_failure(kLong), "rank 2 failed: it did not come within 0 s");
}

TEST(HeartbeatDist, WithoutRankZeroTheOthersEnd) {
  Ranks job;
  const auto second = job.rank(1);
  job.server.reset();
  EXPECT_EQ(second->wait_for_failure(kLong), "rank 0 failed: it is gone");
}

}  // namespace
}  // namespace xp::dist
