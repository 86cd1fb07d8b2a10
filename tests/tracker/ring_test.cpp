#include "tracker/ring.h"

#include <fstream>
#include <thread>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "tests/testing/temp_dir.h"

namespace xp::tracker {
namespace {

TEST(Ring, GivesBackWhatWasPushedInOrder) {
  const testing::TempDir dir;
  const auto ring = Ring::create(dir / "ring", 3, 1);
  EXPECT_EQ(ring->declare("train.loss", Unit::kNone, Grain::kStep), 0u);
  EXPECT_EQ(ring->declare("mAP", Unit::kFraction, Grain::kFinal), 1u);
  ASSERT_TRUE(ring->push({1, 0.5, 10, 0}));
  ASSERT_TRUE(ring->push({2, 0.25, 20, 1}));

  const auto other = Ring::open(dir / "ring", false);
  ASSERT_NE(other, nullptr);
  EXPECT_EQ(other->attempt(), 3);
  EXPECT_EQ(other->rank(), 1);
  EXPECT_EQ(other->id(), ring->id());
  ASSERT_EQ(other->metrics().size(), 2u);
  EXPECT_EQ(other->metrics()[1].name, "mAP");
  EXPECT_EQ(other->metrics()[1].grain, Grain::kFinal);
  std::vector<RingPoint> points;
  EXPECT_EQ(other->peek(0, 100, false, points), 2u);
  ASSERT_EQ(points.size(), 2u);
  EXPECT_EQ(points[1].step, 2);
  EXPECT_EQ(points[1].value, 0.25);
  EXPECT_EQ(points[1].time_ns, 20);
  EXPECT_EQ(points[1].metric, 1u);
}

TEST(Ring, RefusesWhenFullUntilReleased) {
  const auto ring = Ring::anonymous(1, 0);
  for (uint32_t i = 0; i < Ring::kCapacity; ++i) ASSERT_TRUE(ring->push({i, 0, 0, 0}));
  EXPECT_FALSE(ring->push({-1, 0, 0, 0}));
  ring->release(0, 10);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(ring->push({i, 1, 0, 0}));
  EXPECT_FALSE(ring->push({-1, 0, 0, 0}));
  std::vector<RingPoint> points;
  EXPECT_EQ(ring->peek(10, Ring::kCapacity, false, points), Ring::kCapacity + 10);
  EXPECT_EQ(points.back().value, 1);
}

TEST(Ring, ManyLapsLoseNothing) {
  const auto ring = Ring::anonymous(1, 0);
  std::vector<RingPoint> points;
  uint64_t taken = 0;
  int64_t want = 0;
  for (int lap = 0; lap < 5; ++lap) {
    for (uint32_t i = 0; i < Ring::kCapacity - 7; ++i) ASSERT_TRUE(ring->push({want + i, 0, 0, 0}));
    const uint64_t next = ring->peek(taken, Ring::kCapacity, false, points);
    for (const RingPoint& point : points) ASSERT_EQ(point.step, want++);
    ring->release(taken, next);
    taken = next;
  }
  EXPECT_EQ(want, 5 * (int64_t{Ring::kCapacity} - 7));
}

TEST(Ring, FourThreadsPushWhileOneTakes) {
  const auto ring = Ring::anonymous(1, 0);
  constexpr int kThreads = 4;
  constexpr int64_t kEach = 100000;
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int64_t i = 0; i < kEach; ++i) {
        while (!ring->push({i, static_cast<double>(i), 0, t})) std::this_thread::yield();
      }
    });
  }
  std::vector<int64_t> next(kThreads, 0);
  std::vector<RingPoint> points;
  uint64_t taken = 0;
  while (taken < kThreads * kEach) {
    const uint64_t end = ring->peek(taken, 4096, false, points);
    for (const RingPoint& point : points) {
      ASSERT_EQ(point.step, next[point.metric]) << "a thread's own order is kept";
      ASSERT_EQ(point.value, static_cast<double>(point.step));
      ++next[point.metric];
    }
    ring->release(taken, end);
    taken = end;
  }
  for (std::thread& thread : threads) thread.join();
  for (const int64_t count : next) EXPECT_EQ(count, kEach);
}

TEST(Ring, FileThatIsNoRingIsRefused) {
  const testing::TempDir dir;
  EXPECT_EQ(Ring::open(dir / "absent", false), nullptr);
  std::ofstream(dir / "short") << "XPRING1";
  EXPECT_EQ(Ring::open(dir / "short", false), nullptr);
  { const auto ring = Ring::create(dir / "ring", 1, 0); }
  std::fstream(dir / "ring", std::ios::in | std::ios::out | std::ios::binary) << "garbage!";
  EXPECT_EQ(Ring::open(dir / "ring", false), nullptr);
  EXPECT_THROW(Ring::create(dir / "no/such/folder", 1, 0), Error);
}

TEST(Ring, TableOfNamesHasAnEnd) {
  const auto ring = Ring::anonymous(1, 0);
  const std::string name(1000, 'x');
  size_t count = 0;
  while (ring->declare(name, Unit::kNone, Grain::kStep)) ++count;
  EXPECT_EQ(count, Ring::kNameBytes / 1004);
  EXPECT_EQ(ring->metrics().size(), count);
  EXPECT_FALSE(ring->declare(std::string(70000, 'x'), Unit::kNone, Grain::kStep));
}

}  // namespace
}  // namespace xp::tracker
