#include "tests/testing/run_tests.h"

#include <gtest/gtest.h>

#include "core/base/progress.h"

namespace xp::testing {

int run_tests(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  set_progress_enabled(false);
  return RUN_ALL_TESTS();
}

}  // namespace xp::testing
