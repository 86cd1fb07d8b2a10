// What commands take from a command line: values, their checks, sub-commands, help.
#include "core/cli/arguments.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "tests/testing/temp_dir.h"

namespace xp::cli {
namespace {

using Words = std::vector<std::string>;
using ::testing::HasSubstr;
using ::testing::Not;

class ArgumentsTest : public ::testing::Test {
 protected:
  /// The message of the Error that `words` give; "" where they fit.
  std::string fault(const Words& words) {
    try {
      line_.parse(words);
    } catch (const Error& error) {
      return error.message();
    }
    return "";
  }

  CommandLine line_{"prog", "a program", "prog 1.2"};
  Arguments declared_ = line_.arguments();
};

TEST_F(ArgumentsTest, SetVariablesByTheirType) {
  std::string word;
  std::filesystem::path file;
  int small = 0, repeated = 0;
  int64_t large = 0;
  size_t count = 0;
  double real = 0;
  bool flag = false, silent = true;
  Words words;
  std::vector<int64_t> numbers;
  declared_.option("word", word, "");
  declared_.option("-f,--file", file, "");
  declared_.option("--small", small, "");
  declared_.option("--large", large, "");
  declared_.option("--count", count, "");
  declared_.option("--real", real, "");
  declared_.option("--words", words, "").take_all();
  declared_.option("--numbers", numbers, "").comma_separated();
  declared_.flag("--flag", flag, "");
  declared_.flag("--silent", silent, "");
  declared_.flag("-v", repeated, "");
  ASSERT_TRUE(line_.parse({"some", "-f", "a b", "--small=-3", "--large", "5000000000", "--count",
                           "7", "--real", "1e-3", "--words", "x", "--words", "y", "--numbers",
                           "0,8,16", "--flag", "-vv"}));
  EXPECT_EQ(word, "some");
  EXPECT_EQ(file.string(), "a b");
  EXPECT_EQ(small, -3);
  EXPECT_EQ(large, 5000000000);
  EXPECT_EQ(count, 7u);
  EXPECT_EQ(real, 1e-3);
  EXPECT_EQ(words, (Words{"x", "y"}));
  EXPECT_EQ(numbers, (std::vector<int64_t>{0, 8, 16}));
  EXPECT_TRUE(flag);
  EXPECT_TRUE(silent);
  EXPECT_EQ(repeated, 2);
}

TEST_F(ArgumentsTest, ARepeatedOptionLeavesTheNextWordToOthers) {
  std::string recipe;
  Words sets, columns, pair, rest;
  declared_.option("recipe", recipe, "");
  declared_.option("rest", rest, "");
  declared_.option("--set", sets, "").take_all();
  declared_.option("--columns", columns, "").comma_separated();
  declared_.option("--pair", pair, "").expected(2);
  ASSERT_TRUE(line_.parse({"--set", "a=1", "r.toml", "--columns", "x,y", "one", "--pair", "p", "q",
                           "--set", "b=2", "two"}));
  EXPECT_EQ(recipe, "r.toml");
  EXPECT_EQ(sets, (Words{"a=1", "b=2"}));
  EXPECT_EQ(columns, (Words{"x", "y"}));
  EXPECT_EQ(pair, (Words{"p", "q"}));
  EXPECT_EQ(rest, (Words{"one", "two"}));
}

TEST_F(ArgumentsTest, FaultsNameTheOptionAndTheHelp) {
  int jobs = 1;
  double seconds = 1;
  std::string kind, labels;
  Words pair;
  bool check = false;
  const Option checking = declared_.flag("--check", check, "");
  declared_.option("--jobs", jobs, "").range(1, 8).excludes(checking);
  declared_.option("--seconds", seconds, "").positive();
  declared_.option("--kind", kind, "").one_of({"one", "two"});
  declared_.option("--labels", labels, "").existing_file();
  declared_.option("--pair", pair, "").expected(2);
  EXPECT_EQ(fault({"--jobs", "9"}), "--jobs: Value 9 not in range 1 to 8; see `prog --help`");
  EXPECT_EQ(fault({"--seconds", "0"}),
            "--seconds: expected a number above 0, received '0'; see `prog --help`");
  EXPECT_EQ(fault({"--kind", "three"}), "--kind: three not in {one,two}; see `prog --help`");
  EXPECT_THAT(fault({"--labels", "absent.csv"}), HasSubstr("absent.csv"));
  EXPECT_THAT(fault({"--pair", "one"}), HasSubstr("--pair"));
  EXPECT_EQ(fault({"--jobs", "2", "--check"}), "--check excludes --jobs; see `prog --help`");
  EXPECT_EQ(fault({"--jobs", "2", "--kind", "two", "--pair", "a", "b"}), "");
}

TEST_F(ArgumentsTest, SubcommandIsNamed) {
  std::string chosen, name;
  bool json = false;
  declared_.flag("--json", json, "");
  declared_.subcommand("idle", "", chosen);
  Arguments work = declared_.subcommand("work", "", chosen);
  work.option("name", name, "").required();
  EXPECT_THAT(fault({"work"}), HasSubstr("name is required; see `prog work --help`"));
  EXPECT_EQ(chosen, "");
  EXPECT_EQ(fault({"work", "it", "--json"}), "");
  EXPECT_EQ(chosen, "work");
  EXPECT_EQ(name, "it");
  EXPECT_TRUE(json);
}

TEST_F(ArgumentsTest, SubcommandMayBeRequired) {
  std::string chosen;
  declared_.require_subcommand();
  declared_.subcommand("work", "", chosen);
  EXPECT_THAT(fault({}), HasSubstr("subcommand"));
  EXPECT_EQ(fault({"work"}), "");
}

TEST_F(ArgumentsTest, WordsThatAreTooManyAreExplained) {
  std::string chosen, recipe;
  Words sets, sounds;
  bool inner = false;
  Arguments run = declared_.subcommand("run", "", chosen);
  run.option("recipe", recipe, "");
  run.option("--set", sets, "").take_all();
  run.flag("--inner", inner, "").hidden();
  Arguments hear = declared_.subcommand("hear", "", chosen);
  hear.option("sounds", sounds, "");
  EXPECT_EQ(fault({"run", "r.toml", "train.epochs=3"}),
            "train.epochs=3: a key of the recipe is set by --set train.epochs=3; see `prog run "
            "--help`");
  EXPECT_EQ(fault({"run", "r.toml", "b.toml"}),
            "'b.toml' is one word too many; see `prog run --help`");
  EXPECT_EQ(fault({"run", "r.toml", "--sett", "a=1"}),
            "there is no option --sett; did you mean '--set'?; see `prog run --help`");
  EXPECT_EQ(fault({"run", "--innner"}), "there is no option --innner; see `prog run --help`");

  const testing::TempDir folder;
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  std::ofstream("-dash.wav") << "x";
  EXPECT_EQ(fault({"hear", "-dash.wav"}),
            "-dash.wav was taken for an option; of a file write ./-dash.wav, or -- before it; see "
            "`prog hear --help`");
  for (const Words& words : {Words{"hear", "./-dash.wav"}, Words{"hear", "--", "-dash.wav"}}) {
    sounds.clear();
    EXPECT_EQ(fault(words), "");
    EXPECT_EQ(sounds, Words{words.back()});
  }
  std::filesystem::current_path(before);
}

TEST_F(ArgumentsTest, HelpShowsDefaultsAndHidesWhatIsHidden) {
  int jobs = 3;
  bool inner = false;
  declared_.option("--jobs", jobs, "how many").show_default();
  declared_.flag("--inner", inner, "for another program").hidden();
  declared_.footer("Example:\n  prog --jobs 2\n");
  EXPECT_THAT(line_.help(), HasSubstr("--jobs INT=3"));
  EXPECT_THAT(line_.help(), HasSubstr("how many"));
  EXPECT_THAT(line_.help(), HasSubstr("prog --jobs 2"));
  EXPECT_THAT(line_.help(), Not(HasSubstr("--inner")));
  EXPECT_EQ(fault({"--inner"}), "");
  EXPECT_TRUE(inner);
}

TEST_F(ArgumentsTest, HelpAndVersionArePrintedInPlaceOfWork) {
  ::testing::internal::CaptureStdout();
  EXPECT_FALSE(line_.parse({"--version"}));
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "prog 1.2\n");
  ::testing::internal::CaptureStdout();
  EXPECT_FALSE(line_.parse({"--help"}));
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), line_.help());
}

}  // namespace
}  // namespace xp::cli
