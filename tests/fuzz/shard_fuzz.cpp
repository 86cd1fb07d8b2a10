// libFuzzer target: any bytes as a shard, and as changes of a shard's tables. Run from the source
// folder; seed: tests/fixtures/prepared_v1/shard-00000.h5.
#include <cstddef>
#include <cstdint>

#include <unistd.h>

#include "tests/fuzz/readers.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("shard_fuzz-" + std::to_string(::getpid()));
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  xp::data::fuzz::read_shard("tests/fixtures/prepared_v1", folder, bytes);
  xp::data::fuzz::read_false_tables("tests/fixtures/prepared_v1", folder,
                                    std::string_view(bytes).substr(0, 8 * 64));
  return 0;
}
