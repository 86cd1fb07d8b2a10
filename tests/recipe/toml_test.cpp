#include "core/recipe/toml.h"

#include <limits>

#include <gtest/gtest.h>

#include "core/recipe/options.h"

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
