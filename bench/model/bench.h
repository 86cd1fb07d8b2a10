#pragma once

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <map>
#include <string>

/// What the programs of this folder share.
namespace bench {

using Args = std::map<std::string, std::string>;

/// CPU seconds of this process so far, all threads together.
inline double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

/// Takes "--name value" pairs over the defaults; ends `program` with code 2 at a name that has
/// none.
inline void take_arguments(const char* program, int argc, char** argv, Args& args) {
  for (int i = 1; i + 1 < argc; i += 2) {
    if (args.count(argv[i]) == 0) {
      std::fprintf(stderr, "%s: unknown option %s\n", program, argv[i]);
      std::exit(2);
    }
    args[argv[i]] = argv[i + 1];
  }
}

}  // namespace bench
