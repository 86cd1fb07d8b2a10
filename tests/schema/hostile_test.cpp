// Recipes that are written to exhaust memory, the stack or patience: each is refused with its
// reason.
#include <fstream>

#include <gtest/gtest.h>

#include "tests/schema/recipe_files.h"

namespace xp::schema {
namespace {

constexpr const char* kRest =
    "[dataset]\nname = \"synthetic\"\n[model]\narch = \"ast-nano\"\n[optimiser]\nlr = 1e-3\n"
    "[stages.train]\ndo = \"train\"\n";

/// text(0) + text(1) + ... up to a mebibyte, less what kRest needs.
template <class Text>
std::string many(Text&& text) {
  std::string out;
  for (int i = 0; out.size() < (std::size_t{1} << 20) - 1000; ++i) out += text(i);
  return out;
}

std::string number(int i) { return std::to_string(i); }

/// The last fault, without its place.
std::string last_fault(const std::string& text) {
  const RecipeFiles files(text);
  try {
    files.load();
    return "";
  } catch (const recipe::RecipeError& error) {
    EXPECT_LE(error.faults().size(), 1001u);
    EXPECT_LE(std::string_view(error.what()).size(), std::size_t{1} << 20);
    return error.faults().back().message;
  }
}

TEST(HostileRecipe, AMebibyteOfFaults) {
  const char* more = "1000 faults; there may be more";
  EXPECT_EQ(last_fault("[train]\n" + many([](int i) { return "epocsh" + number(i) + " = 1\n"; })),
            more);
  EXPECT_EQ(last_fault(many([](int i) { return "[trian" + number(i) + "]\n"; })), more);
  EXPECT_EQ(last_fault(many([](int i) { return "[stages.s" + number(i) + "]\ndo = \"tain\"\n"; })),
            more);
  EXPECT_EQ(last_fault(std::string(kRest) + "[stages.train.with.tome]\n" +
                       many([](int i) { return "r" + number(i) + " = 1\n"; })),
            more);
  EXPECT_EQ(last_fault("[experiment]\ngoals = [" +
                       many([](int i) { return "\"g" + number(i) + "\","; }) + "]\n" + kRest),
            more);
}

TEST(HostileRecipe, AMebibyteOfStages) {
  const auto stages = [](const char* body) {
    return kRest + many([&](int i) { return "[stages.s" + number(i) + "]\n" + body; });
  };
  EXPECT_EQ(last_fault(stages("do = \"train\"\n")), "a recipe of more than 1000 stages");
  EXPECT_EQ(last_fault(stages("do = \"train\"\neach = { \"tome.r\" = \"0:99999:1\" }\n")),
            "1000 faults; there may be more");
  EXPECT_EQ(last_fault(stages("do = \"train\"\neach = { \"tome.r\" = \"0:999:1\" }\n")),
            "each \"tome.r\": the specs of this recipe have more than 1000000 values");
}

TEST(HostileRecipe, InstancesAreBoundedByTheRecipesSize) {
  const std::string each = "each = { \"tome.r\" = \"0:999:1\" }\n";
  EXPECT_EQ(last_fault(kRest + each), "");
  EXPECT_EQ(
      last_fault("[experiment]\nnotes = \"" + std::string(100000, 'x') + "\"\n" + kRest + each),
      "1000 instances of stages are too many for a recipe of 100161 bytes");
  EXPECT_EQ(last_fault(kRest + std::string("each = { \"tome.r\" = \"0:1000:1\" }\n")),
            "each \"tome.r\": 1001 values: between 1 and 1000 are possible");
  EXPECT_EQ(last_fault(kRest + std::string("each = { \"tome.r\" = \"0:99:1\", \"train.epochs\" = "
                                           "\"1:11:1\" }\n")),
            "stage train: each makes more than 1000 instances");
}

TEST(HostileRecipe, AMebibyteOfVariantsAndSweeps) {
  EXPECT_EQ(last_fault(kRest + many([](int i) { return "[variants.v" + number(i) + "]\n"; })),
            "a recipe of more than 1000 variants");
  std::string sweeps;
  for (int i = 0; i < 900; ++i)
    sweeps += "[variants.v" + number(i) + ".sweep]\nparams = { \"tome.r\" = \"0:99999:1\" }\n";
  EXPECT_EQ(last_fault(kRest + sweeps),
            "sweep.params \"tome.r\": the specs of this recipe have more than 1000000 values");
}

TEST(HostileRecipe, ReferencesThatGrow) {
  const std::string notes = "[experiment]\nnotes = \"" + std::string(40000, 'x') + "\"\n";
  std::string tags;
  for (int i = 0; i < 10000; ++i) tags += "\"${experiment.notes}\",";
  EXPECT_EQ(last_fault(notes + "tags = [" + tags + "]\n" + kRest),
            "references put in more than 4194304 characters");
  EXPECT_EQ(last_fault(notes + "name = \"${experiment.notes}${experiment.notes}\"\n" + kRest),
            "experiment.name: longer than 65536 characters when its references are put in");
}

TEST(HostileRecipe, FilesWithoutEnd) {
  const testing::TempDir folder;
  const auto big = folder.path() / "big.toml";
  std::ofstream(big).close();
  std::filesystem::resize_file(big, 100'000'000);  // sparse: nothing is written
  const auto fault = [](const std::filesystem::path& path) -> std::string {
    try {
      load_recipe(path);
      return "";
    } catch (const Error& error) {
      return error.what();
    }
  };
  EXPECT_EQ(fault(big),
            big.string() + ": 100000000 bytes: a recipe has at most 1048576; is this a recipe?");
  EXPECT_EQ(fault("/dev/zero"), "cannot read /dev/zero: it is a device, not a regular file");
  const RecipeFiles files("extends = [\"/dev/zero\"]\n" + std::string(kRest));
  EXPECT_EQ(files.fault(),
            "a.toml:1:12: there is no file /dev/zero\n  extends = [\"/dev/zero\"]\n"
            "             ^");
}

}  // namespace
}  // namespace xp::schema
