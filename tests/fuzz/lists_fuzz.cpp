// libFuzzer target: segment lists, label files and data JSON. The first byte chooses the reader.
// Seeds: tests/fuzz/corpus/lists.
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/readers.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 0)
    xp::data::fuzz::read_list(data[0],
                              std::string(reinterpret_cast<const char*>(data) + 1, size - 1));
  return 0;
}
