#include "core/run/workspace.h"

#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "tests/testing/temp_dir.h"

namespace xp::run {
namespace {

using Devices = std::vector<std::string>;

TEST(WorkspaceFile, FaultsAreShownWithTheirPlace) {
  struct Case {
    const char* text;
    const char* want;
  };
  const Case cases[] = {
      {"[runtime]\nthreds = 2\n",
       "exp.toml:2:1: unknown key 'threds' in [runtime]; did you mean 'threads'?\n  threds = 2\n  "
       "^"},
      {"[runtime]\nthreads = 0\n", "runtime.threads must be an integer of at least 1"},
      {"default_recipe = 3\n", "default_recipe must be a string"},
      {"colour = \"red\"\n",
       "unknown key 'colour'; exp.toml has default_recipe, [runtime] and [executor]"},
      {"[data]\nroot = \"sounds\"\n",
       "unknown key 'data'; exp.toml has default_recipe, [runtime] and [executor]"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.text);
    const testing::TempDir dir;
    std::ofstream(dir / "exp.toml") << c.text;
    try {
      load_workspace(dir.path());
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Exit::kUsage);
      EXPECT_NE(std::string(error.what()).find(c.want), std::string::npos) << error.what();
    }
  }
}

TEST(WorkspaceFile, Devices) {
  EXPECT_EQ(parse_devices(""), Devices{});
  EXPECT_EQ(parse_devices("cpu"), Devices{"cpu"});
  EXPECT_EQ(parse_devices("cpu:2"), (Devices{"cpu:0", "cpu:1"}));
  for (const char* text :
       {"x", "cpu:", "cpu:0", "gpu:", "gpu:a", "-1", "0", "gpu:1000", "cpu:2,3"}) {
    SCOPED_TRACE(text);
    EXPECT_THROW(parse_devices(text), Error);
  }
}

}  // namespace
}  // namespace xp::run
