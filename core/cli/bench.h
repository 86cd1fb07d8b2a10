#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace xp::cli {

/// What `exp bench` was asked for.
struct BenchArguments {
  std::string model;          ///< an architecture, or a checkpoint of exp
  std::vector<int64_t> tome;  ///< values of r to measure with; empty = none
  int64_t batch = 0;          ///< clips in a measured batch; 0 = 32
  int64_t reps = 30;          ///< measured batches
  int64_t frames = 1024;      ///< of the input of an architecture
  int64_t classes = 527;      ///< of an architecture
  std::string precision = "fp32";
  std::string device;
  int threads = 0;
};

}  // namespace xp::cli
