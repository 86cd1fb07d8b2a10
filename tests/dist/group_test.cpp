#include "core/dist/group.h"

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "core/base/error.h"

namespace xp::dist {
namespace {

/// Runs `body(group)` on `size` ranks that are threads; exceptions come back as texts.
std::vector<std::string> on_threads(int size, const std::function<void(Group&)>& body) {
  const auto rendezvous = Rendezvous::in_process();
  std::vector<std::string> errors(static_cast<size_t>(size));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank)
    threads.emplace_back([&, rank] {
      try {
        const auto group = Group::make(*rendezvous, "test", rank, size, at::kCPU);
        body(*group);
        group->barrier();
      } catch (const std::exception& error) {
        errors[static_cast<size_t>(rank)] = error.what();
      }
    });
  for (std::thread& thread : threads) thread.join();
  return errors;
}

TEST(GroupDist, CollectivesOfThreeRanks) {
  std::mutex mutex;
  const auto errors = on_threads(3, [&](Group& group) {
    const int rank = group.rank();
    at::Tensor sum = at::full({4}, rank + 1.0);
    group.sum(sum);
    at::Tensor value = at::full({2}, rank + 5.0);
    group.broadcast(value);
    const at::Tensor rows = group.gather_rows(at::full({rank, 2}, static_cast<double>(rank)));
    const bool any = group.any(rank == 1);
    const bool none = group.any(false);
    const std::lock_guard lock(mutex);
    EXPECT_TRUE(at::equal(sum, at::full({4}, 6.0)));
    EXPECT_TRUE(at::equal(value, at::full({2}, 5.0)));
    EXPECT_TRUE(
        at::equal(rows, at::tensor({1.0, 1.0, 2.0, 2.0, 2.0, 2.0}).reshape({3, 2}).to(at::kFloat)));
    EXPECT_TRUE(any);
    EXPECT_FALSE(none);
  });
  for (const std::string& error : errors) EXPECT_EQ(error, "");
}

TEST(GroupDist, NothingIsTakenFromAGroupThatWasEnded) {
  const auto errors = on_threads(2, [](Group& group) {
    EXPECT_NO_THROW(group.check());
    group.barrier();
    if (group.rank() == 1) return;
    group.abort();
    try {
      group.check();
      ADD_FAILURE() << "checked";
    } catch (const Error& error) {
      EXPECT_EQ(error.message(), "another rank is gone (the group was ended)");
    }
    at::Tensor sum = at::ones({2});
    EXPECT_THROW(group.sum(sum), Error);
    throw Error("ended");  // the other one waits at the barrier that follows
  });
  EXPECT_EQ(errors[0], "ended");
  EXPECT_NE(errors[1].find("another rank is gone"), std::string::npos) << errors[1];
}

/// Gloo may never hear that a rank is gone: its calls then waited for ten minutes. Here rank 1 is
/// silent after `together`, which is the same to rank 0, whose call the group's end has to end.
/// `together` is made by both and gives the call.
void ends_with_the_group(const std::function<std::function<void()>(Group&)>& together) {
  std::promise<void> done;
  const auto errors = on_threads(2, [&](Group& group) {
    const std::function<void()> call = together(group);
    if (group.rank() == 1) {
      done.get_future().wait();
      throw Error("silent");
    }
    std::thread watch([&group] {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      group.abort();
    });
    try {
      call();
      ADD_FAILURE() << "did not wait";
    } catch (const Error& error) {
      EXPECT_NE(error.message().find("another rank is gone"), std::string::npos) << error.message();
    }
    watch.join();
    EXPECT_THROW(group.barrier(), Error);
    done.set_value();
  });
  EXPECT_EQ(errors[1], "silent");
}

TEST(GroupDist, ACallThatWaitsEndsWithTheGroup) {
  const auto never_joined = [](const char* what, const std::function<void(Group&)>& call) {
    SCOPED_TRACE(what);
    ends_with_the_group([&](Group& group) { return [&] { call(group); }; });
  };
  never_joined("sum", [](Group& group) {
    at::Tensor sum = at::ones({2});
    group.sum(sum);
  });
  never_joined("gather_rows", [](Group& group) { group.gather_rows(at::ones({2, 3})); });
  never_joined("broadcast", [](Group& group) {
    // The sender need not wait for anybody: many values, or a second call, has to.
    at::Tensor values = at::ones({1 << 22});
    group.broadcast(values);
    group.barrier();
  });
  never_joined("barrier", [](Group& group) { group.barrier(); });
}

/// A small network with a parameter that gets no gradient.
struct Net {
  std::vector<at::Tensor> parameters;
  explicit Net(uint64_t seed) {
    at::manual_seed(seed);
    for (const auto& shape : {std::vector<int64_t>{16, 8}, {16}, {4, 16}, {4}, {3}})
      parameters.push_back(at::randn(shape).requires_grad_());
  }
  at::Tensor loss(const at::Tensor& x, const at::Tensor& y) const {
    const at::Tensor hidden = at::gelu(at::linear(x, parameters[0], parameters[1]));
    return (at::linear(hidden, parameters[2], parameters[3]) - y).square().mean();
  }
};

void backward(const at::Tensor& loss) { torch::autograd::backward({loss}, {}); }

TEST(GroupDist, ABackwardPassThatWaitsEndsWithTheGroup) {
  ends_with_the_group([](Group& group) {
    const auto net = std::make_shared<Net>(1);
    const auto reducer = std::make_shared<GradientReducer>(group, net->parameters);
    return [net, reducer] {
      reducer->begin();
      reducer->backward(net->loss(at::ones({2, 8}), at::ones({2, 4})));
    };
  });
}

class ReducerDist : public testing::TestWithParam<std::tuple<int, Averaging>> {};

TEST_P(ReducerDist, GradientsAreThoseOfTheJointBatch) {
  const auto [size, when] = GetParam();
  at::manual_seed(3);
  const at::Tensor x = at::randn({8, 8});
  const at::Tensor y = at::randn({8, 4});
  const Net joint(7);
  backward(joint.loss(x, y));
  // Networks are made here: the generator of at::manual_seed is shared by all threads.
  std::vector<Net> nets;
  for (int rank = 0; rank < size; ++rank) nets.emplace_back(rank == 0 ? 7 : 100 + rank);
  std::mutex mutex;
  const auto errors = on_threads(size, [&, when = when](Group& group) {
    const Net& net = nets[static_cast<size_t>(group.rank())];
    GradientReducer reducer(group, net.parameters, when, 0.0001);
    const auto part = static_cast<size_t>(group.rank());
    const at::Tensor mine_x = x.chunk(group.size())[part];
    const at::Tensor mine_y = y.chunk(group.size())[part];
    for (int step = 0; step < 3; ++step) {
      for (const at::Tensor& p : net.parameters) p.mutable_grad().reset();
      // Two micro-batches: only the second one communicates.
      const int64_t half = mine_x.size(0) / 2;
      backward(net.loss(mine_x.narrow(0, 0, half), mine_y.narrow(0, 0, half)) / 2);
      reducer.begin();
      reducer.backward(net.loss(mine_x.narrow(0, half, half), mine_y.narrow(0, half, half)) / 2);
    }
    const std::lock_guard lock(mutex);
    for (size_t i = 0; i < 4; ++i) {
      const double scale = joint.parameters[i].grad().abs().max().item<double>();
      const double worst =
          (net.parameters[i].grad() - joint.parameters[i].grad()).abs().max().item<double>();
      EXPECT_LT(worst, 4e-7 * scale + 1e-6) << "parameter " << i;
    }
  });
  for (const std::string& error : errors) EXPECT_EQ(error, "");
}

// A gradient that no rank has stays none; one that only some have counts as zero on the others.
TEST(AfterwardsDist, AveragesAfterwardsWhatSomeRankHas) {
  const auto errors = on_threads(2, [](Group& group) {
    std::vector<at::Tensor> parameters;
    for (int i = 0; i < 3; ++i) parameters.push_back(at::ones({2}).requires_grad_());
    GradientReducer reducer(group, parameters, Averaging::kAfterwards);
    reducer.begin();
    at::Tensor loss = parameters[0].sum() * (group.first() ? 1.0 : 3.0);
    if (group.first()) loss = loss + parameters[1].sum();
    reducer.backward(loss);
    EXPECT_TRUE(at::equal(parameters[0].grad(), at::full({2}, 2.0)));
    EXPECT_TRUE(at::equal(parameters[1].grad(), at::full({2}, 0.5)));
    EXPECT_FALSE(parameters[2].grad().defined());
  });
  for (const std::string& error : errors) EXPECT_EQ(error, "");
}

INSTANTIATE_TEST_SUITE_P(Ranks, ReducerDist,
                         testing::Combine(testing::Values(2, 4),
                                          testing::Values(Averaging::kMeanwhile,
                                                          Averaging::kAfterwards)));

TEST(RendezvousDist, NobodyThereIsSaid) {
  try {
    Rendezvous::join("127.0.0.1", 1, std::chrono::seconds(1));
    FAIL() << "joined";
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.message()).substr(0, 28), "no rank 0 at 127.0.0.1:1 (Th");
    EXPECT_EQ(error.code(), Exit::kFailed);
  }
}

TEST(RendezvousDist, LookDoesNotWait) {
  const auto server = Rendezvous::serve("127.0.0.1");
  const auto client = Rendezvous::join("127.0.0.1", server->port());
  EXPECT_EQ(client->look("a"), std::nullopt);
  server->set("a", "text");
  EXPECT_EQ(client->look("a"), "text");
}

// The other one's look may overtake a set that is only on its way.
TEST(RendezvousDist, WhatWasSetIsThereForEverybody) {
  const auto server = Rendezvous::serve("127.0.0.1");
  const auto client = Rendezvous::join("127.0.0.1", server->port());
  std::vector<std::string> missing;
  for (int i = 0; i < 2000; ++i) {
    const std::string key = std::to_string(i);
    server->set(key, "s");
    if (!client->look(key)) missing.push_back(key);
    client->set(key + "c", "c");
    if (!server->look(key + "c")) missing.push_back(key + "c");
  }
  EXPECT_EQ(missing, std::vector<std::string>{});
}

}  // namespace
}  // namespace xp::dist
