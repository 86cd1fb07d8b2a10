// git is the same for everybody: no setting of the user or of the folder changes a patch or starts
// a program.
#include "tracker/git.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/base/files.h"
#include "tests/testing/shell.h"
#include "tests/testing/temp_dir.h"
#include "tracker/provenance.h"
#include "tracker/source_tree.h"

namespace xp::tracker {
namespace {

namespace fs = std::filesystem;

struct UserSetting {
  const char* key;
  std::string value;
};

class GitIntegration : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(repository_);
    fs::create_directories(home_ / "hooks");
    std::ofstream(program_) << "#!/bin/sh\necho \"$0 $*\" >> '" << marker_.string()
                            << "'\ncat > /dev/null\necho replaced\n";
    fs::permissions(program_, fs::perms::owner_all);
    for (const char* hook : {"post-checkout", "post-index-change", "reference-transaction"})
      fs::copy_file(program_, home_ / "hooks" / hook);
    ::setenv("HOME", home_.c_str(), 1);
    write(40, 0);
    std::ofstream(repository_ / "data.bin") << std::string("\0\1\2", 3);
    std::ofstream(repository_ / ".gitattributes") << "*.toml filter=foreign diff=foreign\n";
    const auto made = in_repository(
        "git init -q -b main && git add . && git -c user.name=t -c user.email=t@t commit -qm one");
    if (made.code != 0) GTEST_SKIP() << "no git here: " << made.text;
    write(40, 20);
    std::ofstream(repository_ / "data.bin") << std::string("\3\0\1", 3);
  }
  void TearDown() override {
    if (old_home_.empty()) {
      ::unsetenv("HOME");
    } else {
      ::setenv("HOME", old_home_.c_str(), 1);
    }
  }

  void write(int lines, int changed) const {
    std::ofstream out(repository_ / "a.toml");
    for (int i = 0; i < lines; ++i) out << "key_" << i << " = " << (i == changed ? -1 : i) << "\n";
  }
  testing::Shell in_repository(const std::string& command) const {
    return testing::shell(fmt::format("cd '{}' && {}", repository_.string(), command));
  }
  void set(const UserSetting& setting, bool of_user) const {
    const auto done = in_repository(fmt::format(
        "git config {} {} '{}'", of_user ? "--global" : "--local", setting.key, setting.value));
    ASSERT_EQ(done.code, 0) << setting.key << done.text;
  }
  std::vector<UserSetting> settings() const {
    const std::string program = program_.string();
    return {{"diff.noprefix", "true"},
            {"diff.mnemonicPrefix", "true"},
            {"diff.context", "0"},
            {"diff.interHunkContext", "30"},
            {"diff.algorithm", "patience"},
            {"diff.renames", "copies"},
            {"diff.relative", "true"},
            {"diff.submodule", "log"},
            {"diff.orderFile", (home_ / "order").string()},
            {"color.ui", "always"},
            {"core.autocrlf", "true"},
            {"core.quotePath", "false"},
            {"core.fsmonitor", program},
            {"core.hooksPath", (home_ / "hooks").string()},
            {"diff.external", program},
            {"diff.foreign.textconv", program},
            {"diff.foreign.command", program},
            {"filter.foreign.clean", program},
            {"filter.foreign.smudge", program},
            {"filter.foreign.process", program},
            {"filter.foreign.required", "true"},
            {"apply.whitespace", "error"}};
  }

  testing::TempDir dir_;
  fs::path repository_ = dir_ / "repository", home_ = dir_ / "home";
  fs::path program_ = home_ / "program", marker_ = dir_ / "started";
  std::string old_home_ = std::getenv("HOME") == nullptr ? "" : std::getenv("HOME");
};

TEST_F(GitIntegration, NoSettingChangesAPatchOrStartsAProgram) {
  std::ofstream(home_ / "order") << "data.bin\n";
  const SourceState plain = source_state(repository_);
  ASSERT_NE(plain.diff.find("-key_20 = 20\n+key_20 = -1\n"), std::string::npos) << plain.diff;
  EXPECT_TRUE(plain.applies);
  for (const bool of_user : {true, false}) {
    for (const UserSetting& setting : settings()) {
      set(setting, of_user);
      write(40, 20);  // its times are news: git looks inside
      const SourceState state = source_state(repository_);
      EXPECT_EQ(state.diff, plain.diff) << setting.key;
      EXPECT_TRUE(state.applies) << setting.key;
      EXPECT_FALSE(fs::exists(marker_)) << setting.key << ": " << read_file(marker_);
    }
  }
  // All of them at once, and the tree is built again.
  const SourceState state = source_state(repository_);
  save_source_state(state, dir_ / "run/files/source");
  const Rebuilt built = rebuild_source(dir_ / "run", repository_, dir_ / "again");
  EXPECT_TRUE(built.diff_applied);
  EXPECT_TRUE(built.matches);
  EXPECT_EQ(read_file(dir_ / "again/a.toml"), read_file(repository_ / "a.toml"));
  EXPECT_EQ(read_file(dir_ / "again/data.bin"), read_file(repository_ / "data.bin"));
  EXPECT_FALSE(fs::exists(marker_)) << read_file(marker_);
  // The same settings do start the program for who calls git without more ado.
  in_repository("timeout 2 git diff HEAD < /dev/null");
  EXPECT_TRUE(fs::exists(marker_));
}

TEST_F(GitIntegration, VariablesOfTheUserDoNotSteerIt) {
  const std::string plain = source_state(repository_).diff;
  for (const auto& [name, value] : std::vector<std::pair<const char*, std::string>>{
           {"GIT_EXTERNAL_DIFF", program_.string()},
           {"GIT_DIFF_OPTS", "--unified=0"},
           {"GIT_DIR", (dir_ / "nowhere").string()},
           {"GIT_INDEX_FILE", (dir_ / "nowhere").string()},
           {"GIT_CONFIG_PARAMETERS", "'diff.noprefix=true'"}}) {
    ::setenv(name, value.c_str(), 1);
    EXPECT_EQ(source_state(repository_).diff, plain) << name;
    ::unsetenv(name);
  }
  EXPECT_FALSE(fs::exists(marker_));
}

TEST_F(GitIntegration, WhatTheUserIgnoresEverywhereIsNoSource) {
  std::ofstream(repository_ / "mine.toml") << "x = 1\n";
  EXPECT_EQ(source_state(repository_).untracked, std::vector<std::string>{"mine.toml"});
  std::ofstream(home_ / "ignored") << "mine.toml\n";
  set({"core.excludesFile", "~/ignored"}, true);
  EXPECT_TRUE(source_state(repository_).untracked.empty());
}

TEST_F(GitIntegration, APatchThatDoesNotApplyIsNoticed) {
  const SourceState state = source_state(repository_);
  const Git git(repository_);
  constexpr std::chrono::milliseconds kLimit{10000};
  EXPECT_TRUE(git.applies(state.diff, state.commit, kLimit));
  std::string broken = state.diff;
  broken.replace(broken.find("-key_20 = 20"), 12, "-key_20 = 21");
  EXPECT_FALSE(git.applies(broken, state.commit, kLimit));
  EXPECT_EQ(in_repository("git status --porcelain").text, " M a.toml\n M data.bin\n")
      << "looking changes nothing";
}

}  // namespace
}  // namespace xp::tracker
