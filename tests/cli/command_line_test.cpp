// The command line as a user meets it: help, errors, exit codes, and the pages of docs/ that repeat
// them.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/cli/command.h"
#include "tests/testing/shell.h"
#include "tests/testing/temp_dir.h"

namespace xp::cli {
namespace {

namespace fs = std::filesystem;
using testing::Shell;

Shell exp(const std::string& arguments, const std::string& folder = ".") {
  return testing::shell(
      fmt::format("cd '{}' && NO_COLOR=1 {}/exp {}", folder, XP_BIN_DIR, arguments));
}

TEST(CommandLine, MistypedCommandIsGuessed) {
  const Shell result = exp("docto");
  EXPECT_EQ(result.code, 2);
  EXPECT_EQ(
      result.text,
      "error: unknown command 'docto'; did you mean 'doctor'? `exp --help` lists the commands\n");
}

TEST(CommandLine, TheBeginningOfANameIsMeantBeforeASlip) {
  EXPECT_NE(exp("ru").text.find("did you mean 'run'?"), std::string::npos) << exp("ru").text;
  EXPECT_NE(exp("swee").text.find("did you mean 'sweep'?"), std::string::npos);
  EXPECT_NE(exp("rn").text.find("did you mean 'r"), std::string::npos);
}

TEST(CommandLine, WithJsonErrorsAreJsonOnStderr) {
  const testing::TempDir dir;
  std::ofstream(dir / "exp.toml") << "[runtime]\nthreds = 2\n";
  for (const char* arguments : {"gc --json", "--json gc"}) {
    const Shell said = exp(fmt::format("{} 2>&1 >/dev/null", arguments), dir.path().string());
    const auto error = nlohmann::json::parse(said.text)["error"];
    EXPECT_EQ(said.code, 2);
    EXPECT_EQ(error["code"], 2);
    EXPECT_EQ(error["line"], 2);
    EXPECT_EQ(error["column"], 1);
    EXPECT_EQ(fs::path(error["file"].get<std::string>()).filename(), "exp.toml");
    EXPECT_NE(error["message"].get<std::string>().find("unknown key 'threds'"), std::string::npos);
  }
  EXPECT_EQ(nlohmann::json::parse(exp("doctr --json").text)["error"]["code"], 2);
}

TEST(CommandLine, WhatPrintsAFactKnowsJson) {
  const testing::TempDir dir;
  for (const char* arguments : {"--version --json", "--json --version"}) {
    const auto version = nlohmann::json::parse(exp(arguments).text);
    EXPECT_TRUE(exp("--version").text.starts_with("exp " + version["version"].get<std::string>()));
  }
  const auto made = nlohmann::json::parse(exp("init here --json", dir.path().string()).text);
  EXPECT_TRUE(fs::exists(dir / made["workspace"].get<std::string>()));
  const auto queue = nlohmann::json::parse(exp("queue --json", dir.path().string()).text);
  EXPECT_EQ(queue["done"], 0);
  EXPECT_TRUE(queue["runs"].empty());
}

TEST(CommandLine, ALogFileThatCannotBeWrittenIsAnError) {
  const testing::TempDir dir;
  const Shell refused = exp("gc --log-file absent/x.log", dir.path().string());
  EXPECT_EQ(refused.code, 1) << refused.text;
  EXPECT_NE(refused.text.find("cannot write absent/x.log"), std::string::npos) << refused.text;
}

TEST(CommandLine, UnknownOptionNamesTheHelp) {
  const Shell result = exp("doctor --frob");
  EXPECT_EQ(result.code, 2);
  EXPECT_NE(result.text.find("--frob; see `exp doctor --help`"), std::string::npos) << result.text;
}

TEST(CommandLine, EveryCommandHasHelpWithAnExample) {
  for (const auto& entry : commands()) {
    SCOPED_TRACE(entry.name);
    const Shell result = exp(std::string(entry.name) + " --help");
    EXPECT_EQ(result.code, 0);
    EXPECT_NE(result.text.find("xample"), std::string::npos) << result.text;
  }
}

TEST(CommandLine, TableIsSorted) {
  for (size_t i = 1; i < commands().size(); ++i) {
    EXPECT_LT(std::string(commands()[i - 1].name), commands()[i].name);
  }
}

TEST(CommandLine, DocsListTheSameCommandsAsHelp) {
  const std::string page = read_file(testing::source_dir() / "docs/commands.md");
  std::set<std::string> documented;
  const std::regex row(R"(\n\| `exp ([a-z]+))");
  for (std::sregex_iterator it(page.begin(), page.end(), row), end; it != end; ++it)
    documented.insert((*it)[1]);
  std::set<std::string> known;
  for (const auto& entry : commands()) known.insert(entry.name);
  EXPECT_EQ(documented, known);
}

TEST(CommandLine, ExitCodesOfTheDocsAreThoseOfTheHeader) {
  const std::string page = read_file(testing::source_dir() / "docs/exit_codes.md");
  std::map<int, std::string> documented;
  const std::regex row(R"(\n\| (\d+) \| (\w+) \|)");
  for (std::sregex_iterator it(page.begin(), page.end(), row), end; it != end; ++it) {
    documented[std::stoi((*it)[1])] = (*it)[2];
  }
  const std::map<int, std::string> known = {{static_cast<int>(Exit::kOk), "ok"},
                                            {static_cast<int>(Exit::kFailed), "failed"},
                                            {static_cast<int>(Exit::kUsage), "usage"},
                                            {static_cast<int>(Exit::kData), "data"},
                                            {static_cast<int>(Exit::kInternal), "internal"},
                                            {static_cast<int>(Exit::kPreempted), "preempted"},
                                            {static_cast<int>(Exit::kInterrupted), "interrupted"}};
  EXPECT_EQ(documented, known);
}

// A limit on the size of files stands for a full disk; its signal ends nothing without a word.
TEST(CommandLine, OutputThatCannotBeWrittenIsAFailure) {
  const testing::TempDir dir;
  for (const char* command : {"models", "models --json", "--version", "--help"}) {
    const Shell full =
        testing::shell(fmt::format("cd '{}' && ulimit -f 0 && NO_COLOR=1 {}/exp {} > out",
                                   dir.path().string(), XP_BIN_DIR, command));
    EXPECT_EQ(full.code, 1) << command;
    const bool json = std::string(command).ends_with("--json");
    EXPECT_TRUE(full.text.starts_with(json ? "{\"error\":" : "error: ")) << full.text;
    EXPECT_EQ(std::count(full.text.begin(), full.text.end(), '\n'), 1) << full.text;
  }
  EXPECT_EQ(exp("models --json | head -c 1", dir.path().string()).text, "[")
      << "a reader that goes away";
}

TEST(CommandLine, ALimitOutsideItsRangeIsRefused) {
  const testing::TempDir dir;
  for (const char* limit : {"-1", "99999999999999999999"}) {
    const Shell result = exp(fmt::format("runs --limit={}", limit), dir.path().string());
    EXPECT_EQ(result.code, 2) << limit;
    EXPECT_NE(result.text.find("--limit"), std::string::npos) << result.text;
    EXPECT_NE(result.text.find("1000000000"), std::string::npos) << result.text;
  }
}

TEST(CommandLine, InitMakesAWorkspaceOnce) {
  const testing::TempDir dir;
  EXPECT_EQ(exp("init", dir.path().string()).code, 0);
  EXPECT_TRUE(std::filesystem::exists(dir / "exp.toml"));
  const Shell again = exp("init", dir.path().string());
  EXPECT_EQ(again.code, 2);
  EXPECT_EQ(again.text, "error: ./exp.toml is there already; nothing was changed\n");
}

TEST(CommandLine, ProgramIsTorchFree) {
  const Shell result = testing::shell(fmt::format("readelf -d {}/exp", XP_BIN_DIR));
  EXPECT_NE(result.text.find("NEEDED"), std::string::npos);
  for (const char* library : {"libtorch", "libc10", "libhdf5"}) {
    EXPECT_EQ(result.text.find(library), std::string::npos) << library;
  }
}

}  // namespace
}  // namespace xp::cli
