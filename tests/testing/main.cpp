// main of every test program: the usual one, with progress displays off.
#include <gtest/gtest.h>

#include "core/base/progress.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  xp::set_progress_enabled(false);
  return RUN_ALL_TESTS();
}
