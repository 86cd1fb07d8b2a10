#include "core/recipe/toml.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "core/base/files.h"
#include "core/recipe/options.h"
#include "tests/testing/temp_dir.h"

namespace xp::recipe {
namespace {

std::string fault_of(const std::string& text) {
  try {
    parse_toml(text, 0);
    return "";
  } catch (const SyntaxError& error) {
    return std::to_string(error.spot.line) + ":" + std::to_string(error.spot.column) + " " +
           error.message;
  }
}

std::string repeated(const char* text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

TEST(Toml, KeepsPlaces) {
  const Table table = parse_toml("a = 1\n[b]\n  c.d = \"x\"\n", 7);
  EXPECT_EQ(table.at("a").spot.column, 5);
  const Value& d = table.at("b").get<Table>()->at("c").get<Table>()->at("d");
  EXPECT_EQ(d.spot.source, 7);
  EXPECT_EQ(d.spot.line, 3);
  EXPECT_EQ(d.key_spot.column, 5);
}

TEST(Toml, RefusesWhatNoRecipeIs) {
  EXPECT_EQ(fault_of(std::string(kMaxBytes + 1, ' ')),
            "0:0 1048577 bytes: a recipe has at most 1048576; is this a recipe?");
  EXPECT_EQ(fault_of(std::string("a = 1\nb\0 = 2", 12)), "2:2 a NUL byte: this is not a text file");
  EXPECT_EQ(fault_of("a = " + repeated("[", 500000)), "1:37 nested deeper than 32 levels");
  EXPECT_EQ(fault_of("a = " + repeated("{a=", 200000)), "1:101 nested deeper than 32 levels");
  EXPECT_EQ(fault_of(repeated("a.", 500000) + "b = 1"), "1:66 nested deeper than 32 levels");
  EXPECT_EQ(fault_of("[" + repeated("a.", 500000) + "b]"), "1:67 nested deeper than 32 levels");
  EXPECT_EQ(fault_of("a = 1\na = 2").substr(0, 2), "2:");
  EXPECT_EQ(fault_of("a = 99999999999999999999").substr(0, 2), "1:");
  EXPECT_EQ(fault_of("a = \"\xff\xfe\"").substr(0, 2), "1:");
  // Letters that the parser's own tables of blanks and breaks do not list.
  EXPECT_EQ(fault_of("caf\xc3\xa9 = 1").substr(0, 2), "1:");
  EXPECT_EQ(fault_of("a = 1\n\xcd\x98,").substr(0, 2), "2:");
  // What the parser takes for impossible.
  EXPECT_EQ(fault_of("a = 1\n[\nexperiment]\nb = 1\n"),
            "2:1 not TOML: a bracket, key or value that begins nowhere");
  EXPECT_EQ(fault_of("a = [}m|]2[3]\n").substr(0, 2), "1:");
  EXPECT_EQ(fault_of("a = 2024-01-01"),
            "1:5 a date or time: no key takes one; put it in quotes for text");
}

TEST(Toml, NumbersBeyondTheParsersLookAheadAreRefused) {
  // The parser looks through 127 characters for the end of a number. Ten digits that may be a date
  // make it look on behind a blank, and it cannot step back past 127.
  for (const char* begin : {"1", "0x", "-", "+1.", "1e", "1234-56-78"}) {
    for (int fill = 0; fill < 140; ++fill) {
      for (const char* end : {"\n", " 1\n", " 12345678901234567890\n", "", ","}) {
        for (const char* open : {"a = ", "a = [", "a = [1,\n# c\n"}) {
          const std::string text = open + (begin[0] + repeated("_", fill)) + (begin + 1) + end;
          const std::string fault = fault_of(text);
          const bool longer =
              static_cast<std::size_t>(fill) + std::string(begin).size() > kMaxNumber;
          EXPECT_EQ(fault.ends_with(" a number of more than 100 characters"), longer) << text;
        }
      }
    }
  }
  EXPECT_EQ(fault_of("a = 1" + repeated("_", 116) + "234-56-78 1x\n"),
            "1:5 a number of more than 100 characters");
  EXPECT_EQ(fault_of("a = \"" + repeated("1", 200) + "\"\nb." + repeated("k", 200) + " = 1\n"), "");
}

TEST(Toml, QuotesBeforeTheClosingOnesHideNothing) {
  for (const char* quotes : {"\"\"\"", "'''"}) {
    for (const char* own : {"", "q", "qq"}) {
      std::string close = own;
      std::replace(close.begin(), close.end(), 'q', quotes[0]);
      const std::string text = std::string(quotes) + "x" + close + quotes;
      EXPECT_EQ(fault_of("a = {b = " + text + ", " + repeated("c.", 200000) + "d = 1}"),
                "1:" + std::to_string(77 + text.size()) + " nested deeper than 32 levels");
      EXPECT_EQ(fault_of("a = [" + text + "]"), "");
    }
  }
}

/// Parses every text of so many symbols, after each of some beginnings: whatever comes, the parser
/// answers with values or a SyntaxError.
void parse_every_text(int symbols) {
  constexpr const char* kSymbols[] = {"a", "=", "\"", "'", "[", "]", "{",  "}",        ".",
                                      ",", "#", "\n", "1", "-", "_", "\\", "\xc3\xa9", " "};
  constexpr std::size_t kCount = std::size(kSymbols);
  std::vector<std::size_t> digits(static_cast<std::size_t>(symbols), 0);
  int64_t texts = 0;
  while (true) {
    std::string text;
    for (const std::size_t digit : digits) text += kSymbols[digit];
    for (const char* begin : {"", "a = ", "a = [", "[", "a = {b = "}) {
      fault_of(begin + text);
      ++texts;
    }
    std::size_t at = 0;
    while (at < digits.size() && ++digits[at] == kCount) digits[at++] = 0;
    if (at == digits.size()) break;
  }
  EXPECT_EQ(texts, static_cast<int64_t>(5 * std::pow(kCount, symbols)));
}

TEST(Toml, EveryShortTextIsParsedOrRefused) { parse_every_text(3); }

TEST(TomlStress, EveryShortTextIsParsedOrRefused) { parse_every_text(5); }

TEST(Toml, EveryBeginningOfAShippedRecipeIsParsedOrRefused) {
  int files = 0;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(testing::source_dir() / "recipes")) {
    if (entry.path().extension() != ".toml") continue;
    ++files;
    const std::string text = read_file(entry.path());
    for (std::size_t size = 0; size < text.size(); size += 7) fault_of(text.substr(0, size));
    EXPECT_EQ(fault_of(text), "");
  }
  EXPECT_GE(files, 20);
}

TEST(Toml, DotsAndBracketsInStringsAndCommentsAreText) {
  EXPECT_EQ(fault_of("a = \"" + repeated("[.", 100) + "\" # " + repeated("{.", 100) + "\nb = '''" +
                     repeated("[\n", 100) + "'''\n"),
            "");
}

TEST(Toml, ValuesAreWrittenAsTheyRead) {
  for (const char* text :
       {"1", "-7", "0.1", "1e-4", "2.5e-4", "1e20", "inf", "-inf", "nan", "true",
        "\"a\\\"b\\\\c\\n\\u0001\"", "[1, 2.5, \"x\"]", "{ a = 1, \"b.c\" = [] }", "{}", "-0.0"}) {
    SCOPED_TRACE(text);
    const std::string once = to_toml(parse_toml_value(text, -1));
    EXPECT_EQ(to_toml(parse_toml_value(once, -1)), once);
  }
  EXPECT_EQ(to_toml(Value(1e-4)), "1e-4");
  EXPECT_EQ(to_toml(Value(2.0)), "2.0");
  EXPECT_EQ(to_toml(Value(std::numeric_limits<int64_t>::min())), "-9223372036854775808");
}

TEST(Toml, ReferencesToStages) {
  EXPECT_EQ(parse_reference("${stages.a-b.last}"), (Reference{"a-b", "last"}));
  for (const char* text : {"${stages.a}", "${stages..last}", "${stages.a.}", "x${stages.a.last}",
                           "${stages.a.b.c}", "", "${stages.a.last", "${tome.r}"}) {
    EXPECT_FALSE(parse_reference(text)) << text;
  }
}

}  // namespace
}  // namespace xp::recipe
