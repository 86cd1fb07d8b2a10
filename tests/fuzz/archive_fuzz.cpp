// libFuzzer target: any bytes either make an Archive within the limits or an Error; never a crash,
// a leak or more memory than the limits give. Seeds: tests/fuzz/corpus/archive
// (hostile_test.cpp writes it with XP_WRITE_CORPUS=FOLDER; damaged files that were found are
// added).
#include <cstdint>
#include <vector>

#include "core/base/error.h"
#include "core/checkpoint/formats.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace xp::checkpoint;
  auto copy = std::make_shared<std::vector<std::byte>>(size);
  for (size_t i = 0; i < size; ++i) (*copy)[i] = std::byte{data[i]};
  MappedFile mapped;
  mapped.bytes = *copy;
  mapped.owner = copy;
  Limits limits;
  limits.values = 100'000;
  limits.tensors = 1'000;
  limits.spare_bytes = 1 << 20;
  try {
    const Archive archive = read_any("input", mapped, limits);
    unsigned sum = 0;
    for (const Entry& e : archive.entries()) {
      for (const std::byte b : e.bytes) sum += static_cast<unsigned>(b);
    }
    volatile unsigned keep = sum;
    (void)keep;
  } catch (const xp::Error&) {
  }
  return 0;
}
