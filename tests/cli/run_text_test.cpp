#include "core/cli/run_text.h"

#include <gtest/gtest.h>

namespace xp::cli {
namespace {

TEST(TextTable, OneThatIsWiderThanTheTerminalIsBlocks) {
  const TextTable table{{"uid", "name", "eval.mAP"},
                        {{"3F9KQ2ZT", "distilled", "0.4512"}, {"8W1M5P0A", "größer", ""}}};
  const std::string wide =
      "uid       name       eval.mAP\n"
      "3F9KQ2ZT  distilled    0.4512\n"
      "8W1M5P0A  größer\n";
  EXPECT_EQ(table.text(48, 0), wide);
  EXPECT_EQ(table.text(48, 29), wide) << "it just fits";
  EXPECT_EQ(table.text(48, 28),
            "uid       3F9KQ2ZT\n"
            "name      distilled\n"
            "eval.mAP  0.4512\n"
            "\n"
            "uid       8W1M5P0A\n"
            "name      größer\n");
}

}  // namespace
}  // namespace xp::cli
