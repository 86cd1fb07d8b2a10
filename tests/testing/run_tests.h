#pragma once

namespace xp::testing {

/// What main of every test program does: all tests, with progress displays off.
int run_tests(int argc, char** argv);

}  // namespace xp::testing
