// The stream in front of stdout: foreign text is shown as escapes, however it arrives.
#include "core/cli/plain_output.h"

#include <cstdio>
#include <string>

#include <gtest/gtest.h>

namespace xp::cli {
namespace {

std::string printed(const std::string& text, size_t piece, bool as_json) {
  ::testing::internal::CaptureStdout();
  {
    PlainOutput output;
    if (as_json) output.set_json();
    for (size_t at = 0; at < text.size(); at += piece) {
      std::fputs(text.substr(at, piece).c_str(), stdout);
      std::fflush(stdout);
    }
  }
  return ::testing::internal::GetCapturedStdout();
}

TEST(PlainOutput, EscapesHoweverTextIsCut) {
  const std::string text = "caf\xc3\xa9\t\x1b[2J \xe2\x82\xac \xc2\x9b\n\xf0\x9f\x8e\xb5 end\xc3";
  for (size_t piece = 1; piece <= text.size(); ++piece)
    EXPECT_EQ(printed(text, piece, false),
              "caf\xc3\xa9\t\\x1b[2J \xe2\x82\xac \\xc2\\x9b\n\xf0\x9f\x8e\xb5 end\\xc3")
        << piece;
  EXPECT_EQ(printed("[\"\xc2\x9b\"]\n", 3, true), "[\"\\u009b\"]\n");
}

TEST(PlainOutput, StdoutIsWhatItWasAfterwards) {
  const FILE* before = stdout;
  { const PlainOutput output; }
  EXPECT_EQ(stdout, before);
}

}  // namespace
}  // namespace xp::cli
