#include "tests/testing/run_tests.h"

int main(int argc, char** argv) { return xp::testing::run_tests(argc, argv); }
