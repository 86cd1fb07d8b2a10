// Lists as they are found in the wild: CSV, AudioSet's segments, AST's JSON.
#include <gtest/gtest.h>

#include "data/csv.h"
#include "data/sets/ast_json.h"
#include "data/sets/segments.h"
#include "data/sets/sets.h"
#include "tests/data/faults.h"
#include "tests/testing/put.h"
#include "tests/testing/temp_dir.h"

namespace xp::data {
namespace {

using testing::message_of;
using xp::testing::put;
using xp::testing::TempDir;

TEST(Csv, ReadsFieldsAsTheyAreFoundInTheWild) {
  struct Case {
    const char* name;
    const char* text;
    std::vector<std::vector<std::string>> want;
  };
  const Case cases[] = {
      {"plain", "a,b\nc,d\n", {{"a", "b"}, {"c", "d"}}},
      {"no last newline", "a,b\nc,d", {{"a", "b"}, {"c", "d"}}},
      {"carriage returns", "a,b\r\nc,d\r\n", {{"a", "b"}, {"c", "d"}}},
      {"byte order mark",
       "\xEF\xBB\xBF"
       "a,b\n",
       {{"a", "b"}}},
      {"comments and empty lines", "# x\n\na,b\n#y", {{"a", "b"}}},
      {"quoted comma and quote", "\"a,\"\"b\"\"\",c\n", {{"a,\"b\"", "c"}}},
      {"quoted line break", "\"a\nb\",c\n", {{"a\nb", "c"}}},
      {"blank before a quote", "x, \"a,b\"\n", {{"x", "a,b"}}},
      {"blank after a quote", "\"a\" ,b\n", {{"a", "b"}}},
      {"empty fields", ",,\n", {{"", "", ""}}},
      {"quote inside a field", "a\"b,c\n", {{"a\"b", "c"}}},
      {"nothing", "", {}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    CsvReader csv("x.csv", c.text);
    std::vector<std::vector<std::string>> got;
    CsvRow row;
    while (csv.next(row)) got.push_back(row.fields);
    EXPECT_EQ(got, c.want);
  }
}

TEST(Csv, NamesFileAndLineOfAFault) {
  const auto read = [](const char* text) {
    return message_of([&] {
      CsvReader csv("x.csv", text);
      const auto columns = csv.header({"filename", "target"});
      CsvRow row;
      while (csv.next(row)) csv.integer(row, columns[1]);
    });
  };
  EXPECT_EQ(read("filename,fold\n"), "x.csv:1: no column 'target'; there are: filename, fold");
  EXPECT_EQ(read(""), "x.csv: the file is empty; a header was expected");
  EXPECT_EQ(read("filename,target\na,1\nb,x\n"), "x.csv:3: 'x' is not a whole number");
  EXPECT_EQ(read("filename,target\na\n"), "x.csv:2: the row has 1 columns, at least 2 are needed");
  EXPECT_EQ(read("filename,target\na,1\n\"b,2\n"), "x.csv:3: a quote is opened and never closed");
}

TEST(Csv, ColumnsThatAreNotDividedByCommasAreSaidToBe) {
  for (const auto& [divider, name] : {std::pair{";", "';'"}, {"\t", "tabs"}, {"|", "'|'"}}) {
    const std::string header = std::string("index") + divider + "mid" + divider + "display_name";
    const std::string hint =
        std::string(": its columns are divided by ") + name + "; save the file with commas";
    EXPECT_EQ(message_of([&] { parse_classes("l.csv", header + "\n"); }),
              "l.csv:1: no column 'index'; there are: " + header + hint);
    // A list without a header.
    const std::string row = std::string("a") + divider + "0" + divider + "10";
    EXPECT_EQ(message_of([&] { parse_segments("s.csv", row); }),
              "s.csv:1: the row has 1 columns, at least 2 are needed" + hint);
  }
  // One column that is one is no reason to speak of dividers.
  EXPECT_EQ(message_of([&] { parse_classes("l.csv", "index\n"); }),
            "l.csv:1: no column 'mid'; there are: index");
}

TEST(Csv, Utf16IsNamed) {
  for (const char* mark : {"\xFF\xFE", "\xFE\xFF"}) {
    EXPECT_EQ(message_of([&] { CsvReader("x.csv", mark); }),
              "x.csv: not UTF-8 (UTF-16); save it as UTF-8");
    EXPECT_EQ(message_of([&] { parse_ast_json("x.json", mark); }),
              "x.json: not UTF-8 (UTF-16); save it as UTF-8");
  }
}

TEST(Segments, AsPublishedAndAsASpreadsheetLeavesThem) {
  const TempDir folder;
  const auto published =
      read_segments(put(folder / "a.csv",
                        "# Segments csv created Sun Mar  5 10:54:31 2017\n# num_ytids=2\n"
                        "# YTID, start_seconds, end_seconds, positive_labels\n"
                        "--PJHxphWEs, 30.000, 40.000, \"/m/09x0r,/t/dd00088\"\n"
                        "_zzzzzzzzzz, 0.000, 6.300, \"/m/09x0r\"\n"));
  ASSERT_EQ(published.size(), 2U);
  EXPECT_EQ(published[0].id, "--PJHxphWEs");
  EXPECT_EQ(published[0].start_s, 30);
  EXPECT_EQ(published[0].mids, (std::vector<std::string>{"/m/09x0r", "/t/dd00088"}));
  EXPECT_EQ(published[1].end_s, 6.3);
  const auto damaged = read_segments(
      put(folder / "b.csv",
          "--4gqARaEJE,0.000,10.000,\"\"\"/m/068hy\",/m/07q6cd_,/m/0bt9lr,\"/m/0jbk\"\"\",,,,\r\n"
          "--BfvyPmVMo,20.000,30.000,\"\"\"/m/03l9g\"\"\",,,,,,,\r\n"));
  ASSERT_EQ(damaged.size(), 2U);
  EXPECT_EQ(damaged[0].mids,
            (std::vector<std::string>{"/m/068hy", "/m/07q6cd_", "/m/0bt9lr", "/m/0jbk"}));
  EXPECT_EQ(damaged[1].mids, (std::vector<std::string>{"/m/03l9g"}));
}

TEST(Segments, Faults) {
  const TempDir folder;
  const auto read = [&](const char* text) {
    put(folder / "x.csv", text);
    return message_of([&] { read_segments(folder / "x.csv"); });
  };
  const std::string file = (folder / "x.csv").string();
  EXPECT_EQ(read("a, 1, 2\n"), file + ":1: 'a' has no label");
  EXPECT_EQ(read("a, 1\n"), file + ":1: the row has 2 columns, at least 3 are needed");
  EXPECT_EQ(read("a, 5, 2, \"/m/x\"\n"), file + ":1: the segment ends at 2 s and begins at 5 s");
  EXPECT_EQ(read("a, x, 2, \"/m/x\"\n"), file + ":1: 'x' is not a number");
  EXPECT_EQ(read("a, 1, 2, \"/m/x\"\na, 1, 2, \"/m/x\"\n"), file + ":2: 'a' is in line 1 as well");
}

TEST(AstJson, ToleratesComments) {
  const auto entries =
      parse_ast_json("x.json",
                     "# made by hand\n{\"data\": [ // a comment\n"
                     "  {\"wav\": \"/a/Yx.wav\", \"labels\": \"/m/1, /m/2\", \"video_id\": 3, "
                     "\"more\": {\"wav\": \"no\"}},\n"
                     "  # {\"wav\": \"/a/z.wav\"},\n"
                     "  {\"labels\": \"/m/1\", \"wav\": \"/a/#b.wav\"}], \"other\": [\"x\"]}");
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[0].wav, "/a/Yx.wav");
  EXPECT_EQ(entries[0].labels, (std::vector<std::string>{"/m/1", "/m/2"}));
  EXPECT_EQ(entries[1].wav, "/a/#b.wav");
}

TEST(AstJson, LabelsAreBetweenCommas) {
  const auto entries = parse_ast_json(
      "x.json",
      "\xEF\xBB\xBF{\"data\": [{\"wav\": \"a\", \"labels\": \" dog bark,/m/1 , ,cat\"}]}");
  ASSERT_EQ(entries.size(), 1U);
  EXPECT_EQ(entries[0].labels, (std::vector<std::string>{"dog bark", "/m/1", "cat"}));
}

TEST(AstJson, Faults) {
  const auto read = [](const char* text) {
    return message_of([&] { parse_ast_json("x.json", text); });
  };
  EXPECT_EQ(read("{}"), "x.json: has no array \"data\"");
  EXPECT_EQ(read("{\"data\": [{\"wav\": \"a\"}]}"), "x.json: entry 1 of \"data\" has no labels");
  EXPECT_EQ(read("{\"data\": [{\"labels\": \"a\"}]}"), "x.json: entry 1 of \"data\" has no wav");
  EXPECT_EQ(read("{\"data\": [{\"wav\": \"a\", \"label\": \"b\"}]}"),
            "x.json: entry 1 of \"data\" has no labels; it has \"label\"");
  for (const char* value : {"[\"/m/a\", \"/m/b\"]", "0", "1.5", "null", "true", "{\"a\": 1}"}) {
    EXPECT_EQ(read(("{\"data\": [{\"wav\": \"a\", \"labels\": \"b\"}, {\"wav\": \"a\", "
                    "\"labels\": " +
                    std::string(value) + "}]}")
                       .c_str()),
              "x.json: entry 2 of \"data\": labels must be a text, ids between commas: \"labels\": "
              "\"/m/a,/m/b\"");
    EXPECT_EQ(read(("{\"data\": [{\"wav\": " + std::string(value) + "}]}").c_str()),
              "x.json: entry 1 of \"data\": wav must be a text, the path of a file");
  }
  EXPECT_EQ(read("{\"data\": [1]}"), "x.json: an entry of \"data\" is not an object");
  EXPECT_EQ(read("{\"data\": [[\"a\"]]}"), "x.json: an entry of \"data\" is not an object");
  const std::string broken = read("{\"data\": [\n{\"wav\": \"a\", }]}");
  EXPECT_TRUE(broken.starts_with("x.json:2: ")) << broken;
}

}  // namespace
}  // namespace xp::data
