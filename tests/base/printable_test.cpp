// Foreign text as it is shown: nothing that a terminal acts on comes through, nothing else changes.
#include "core/base/printable.h"

#include <string>

#include <gtest/gtest.h>

namespace xp {
namespace {

TEST(Printable, ControlCharactersAreEscapes) {
  EXPECT_EQ(printable("a\x1b[31mb\nc\td\x7f\x9b"), "a\\x1b[31mb\\x0ac\\x09d\\x7f\\x9b");
  EXPECT_EQ(printable("caf\xc3\xa9 \xc2\x9b \xe2\x82"), "caf\xc3\xa9 \\xc2\\x9b \\xe2\\x82");
  EXPECT_EQ(printable_lines("a\n\tb\r\x1b"), "a\n\tb\\x0d\\x1b");
  EXPECT_EQ(printable_json("{\"a\": \"\xc2\x9b\x7f\"}\n"), "{\"a\": \"\\u009b\\u007f\"}\n");
}

// Every text of two bytes: what is shown has no control character, and shown again it is the same.
TEST(Printable, NoByteComesThrough) {
  for (int first = 0; first < 256; ++first) {
    for (int second = 0; second < 256; ++second) {
      const std::string text = {static_cast<char>(first), static_cast<char>(second)};
      const std::string shown = printable(text);
      ASSERT_EQ(printable(shown), shown) << first << " " << second;
      ASSERT_TRUE(is_printable(shown));
      for (const char c : shown)
        ASSERT_TRUE(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) << first << " " << second;
      ASSERT_FALSE(shown[0] == '\xc2' && static_cast<unsigned char>(shown[1]) < 0xa0);
    }
  }
}

TEST(Printable, TheBeginOfACharacterIsKnown) {
  const std::string text = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x8e\xb5";
  EXPECT_EQ(unfinished_bytes(text), 0U);
  EXPECT_EQ(unfinished_bytes(text.substr(0, 2)), 1U);
  EXPECT_EQ(unfinished_bytes(text.substr(0, 5)), 2U);
  EXPECT_EQ(unfinished_bytes(text.substr(0, 9)), 3U);
  EXPECT_EQ(unfinished_bytes("\xa9\xa9\xa9\xa9"), 0U) << "it never began";
  EXPECT_EQ(unfinished_bytes(""), 0U);
}

}  // namespace
}  // namespace xp
