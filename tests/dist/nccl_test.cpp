#include <atomic>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/dist/group.h"

namespace xp::dist {
namespace {

TEST(NcclGpu, SumsAndGathersOnEveryGpu) {
  if (!at::hasCUDA()) GTEST_SKIP() << "no GPU";
  const auto count = static_cast<int>(at::detail::getCUDAHooks().deviceCount());
  const auto rendezvous = Rendezvous::in_process();
  std::vector<std::string> errors(static_cast<size_t>(count));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < count; ++rank)
    threads.emplace_back([&, rank] {
      try {
        const at::Device device(at::kCUDA, static_cast<c10::DeviceIndex>(rank));
        const auto group = Group::make(*rendezvous, "gpu", rank, count, device);
        at::Tensor sum = at::full({1000}, rank + 1.0, at::TensorOptions().device(device));
        group->sum(sum);
        const at::Tensor rows =
            group->gather_rows(at::full({2, 3}, static_cast<double>(rank)).to(device));
        if (sum[0].item<float>() != static_cast<float>(count * (count + 1)) / 2)
          throw Error("wrong sum");
        if (rows.size(0) != 2 * count) throw Error("wrong rows");
        if (!group->any(rank == 0)) throw Error("wrong any");
        group->barrier();
      } catch (const std::exception& error) {
        errors[static_cast<size_t>(rank)] = error.what();
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (const std::string& error : errors) EXPECT_EQ(error, "");
}

TEST(NcclGpu, AWaitForARankThatIsGoneEnds) {
  if (!at::hasCUDA() || at::detail::getCUDAHooks().deviceCount() < 2)
    GTEST_SKIP() << "fewer than two GPUs";
  const auto rendezvous = Rendezvous::in_process();
  std::vector<std::string> errors(2);
  std::atomic<bool> gone = false;
  std::unique_ptr<Group> first;
  const auto rank = [&](int number) {
    try {
      const at::Device device(at::kCUDA, static_cast<c10::DeviceIndex>(number));
      auto group = Group::make(*rendezvous, "gone", number, 2, device);
      at::Tensor sum = at::full({1000}, 1.0, at::TensorOptions().device(device));
      group->sum(sum);
      sum.cpu();
      if (number == 0) first = std::move(group);
      if (number == 1) return;  // the second sum finds it gone
    } catch (const std::exception& error) {
      errors[static_cast<size_t>(number)] = error.what();
    }
  };
  std::thread second(rank, 1);
  rank(0);
  second.join();
  ASSERT_EQ(errors, (std::vector<std::string>{"", ""}));
  std::thread watch([&] {
    while (!gone) std::this_thread::yield();
    first->abort();
  });
  try {
    at::Tensor sum = at::full({1000}, 1.0, at::TensorOptions().device(at::Device(at::kCUDA, 0)));
    gone = true;
    first->sum(sum);
    sum.cpu();
    first->check();
    ADD_FAILURE() << "the sum of one rank was taken for that of two";
  } catch (const std::exception& error) {
    std::cout << error.what() << '\n';
  }
  watch.join();
}

TEST(Nccl, ABuildWithoutCudaSaysSo) {
#ifdef XP_WITH_CUDA
  GTEST_SKIP() << "built with CUDA";
#else
  try {
    Group::make(*Rendezvous::in_process(), "none", 0, 1, at::Device(at::kCUDA, 0));
    FAIL() << "joined";
  } catch (const Error& error) {
    EXPECT_EQ(error.message(),
              "this program was built without CUDA: gpu devices need the preset `cuda`");
  }
#endif
}

}  // namespace
}  // namespace xp::dist
