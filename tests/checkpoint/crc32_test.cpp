#include "core/checkpoint/crc32.h"

#include <string_view>
#include <vector>

#include <zlib.h>

#include <gtest/gtest.h>

#include "core/base/rng.h"

namespace xp::checkpoint {
namespace {

std::vector<std::byte> some_bytes(size_t count) {
  Rng rng(5, "crc32", 0, 0);
  std::vector<std::byte> bytes(count);
  for (std::byte& b : bytes) b = static_cast<std::byte>(256 * rng.uniform());
  return bytes;
}

TEST(Crc32, IsZlibsForEveryLengthAndPlace) {
  const std::vector<std::byte> bytes = some_bytes(700);
  for (size_t size = 0; size <= 600; ++size) {
    for (size_t begin = 0; begin < 3; ++begin) {
      const auto part = std::span(bytes).subspan(begin, size);
      const uLong want =
          ::crc32(0, reinterpret_cast<const Bytef*>(part.data()), static_cast<uInt>(part.size()));
      ASSERT_EQ(crc32_of(part), want) << size << " bytes from " << begin;
    }
  }
}

// The check value of ISO 3309's polynomial, as catalogues of CRCs state it.
TEST(Crc32, OfTheDigits) {
  constexpr std::string_view kDigits = "123456789";
  EXPECT_EQ(crc32_of(std::as_bytes(std::span(kDigits))), 0xcbf43926U);
}

}  // namespace
}  // namespace xp::checkpoint
