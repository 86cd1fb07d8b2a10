#include "core/run/run_summary.h"

#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/run/pretended_run.h"

namespace xp::run {
namespace {

class RunSummary : public testing::PretendedRun {};

TEST_F(RunSummary, SummarySaysWhatCameOut) {
  run();
  EXPECT_NE(summary_.find("mAP 0.5 [0.4512, 0.5544]"), std::string::npos) << summary_;
  const std::string uid = runs()[0].uid;
  EXPECT_TRUE(summary_.ends_with("look further: exp show " + uid + ", or exp report " + uid + "\n"))
      << summary_;
  arguments_.fresh = true;
  run();
  const auto result = nlohmann::json::parse(json_);
  EXPECT_EQ(result["code"], 0);
  EXPECT_EQ(result["stages"][2]["result"], "cached");
  EXPECT_EQ(result["stages"][2]["metrics"]["mAP"], 0.5);
}

}  // namespace
}  // namespace xp::run
