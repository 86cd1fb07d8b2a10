#include "core/run/plan_memory.h"

#include <cstdint>
#include <string>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "tests/run/pretended_run.h"

namespace xp::run {
namespace {

class PlanMemory : public testing::PretendedRun {};

TEST_F(PlanMemory, ATrainingThatNeedsMoreMemoryThanThereIsIsRefused) {
  const auto refusal = [&](uint64_t there) -> std::string {
    try {
      check_memory(plan_run(arguments_, find_workspace()), there);
    } catch (const Error& error) {
      return error.message();
    }
    return "";
  };
  const std::string said = refusal(1u << 20);
  EXPECT_EQ(said.find("stage train needs at least "), 0U) << said;
  EXPECT_NE(said.find("for 8 clips at a time"), std::string::npos) << said;
  EXPECT_NE(said.find("--any-memory"), std::string::npos) << said;
  EXPECT_EQ(refusal(uint64_t{1} << 40), "");
  EXPECT_NE(memory_text(plan_run(arguments_, find_workspace())).find("train needs at least "),
            std::string::npos);
  arguments_.any_memory = true;
  EXPECT_EQ(refusal(1), "");
  arguments_.any_memory = false;
  EXPECT_EQ(run(), 0);
  EXPECT_EQ(refusal(1), "") << "what is cached needs none";
}

}  // namespace
}  // namespace xp::run
