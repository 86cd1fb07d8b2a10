// libFuzzer target: any bytes as a shard. Run from the source folder; seed:
// tests/fixtures/prepared_v1/shard-00000.h5.
#include <cstddef>
#include <cstdint>

#include <unistd.h>

#include "data/fuzz/readers.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("shard_fuzz-" + std::to_string(::getpid()));
  xp::data::fuzz::read_shard("tests/fixtures/prepared_v1", folder,
                             std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}
