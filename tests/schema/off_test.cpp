// A key that is new and off changes nobody's key: no stage is made again, no run or sweep is
// another one, because the language has grown.
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/files.h"
#include "core/recipe/language.h"
#include "core/recipe/options_io.h"
#include "core/recipe/recipe.h"
#include "core/recipe/toml.h"
#include "core/schema/load.h"
#include "tests/schema/recipe_files.h"
#include "tests/testing/temp_dir.h"

namespace xp::schema {
namespace {

/// A section of a program, and of the next one: `shape` came with a default that is not its off
/// value, `skip` and `scale` with one that is.
struct Before {
  static constexpr std::string_view kSection = "thing";
  static constexpr std::string_view kHelp = "a section";
  int64_t size = 3;
  template <class Visitor>
  static void describe(Visitor& v) {
    v.field("size", &Before::size, {}, "how large");
  }
};

struct After {
  static constexpr std::string_view kSection = "thing";
  static constexpr std::string_view kHelp = "a section";
  int64_t size = 3;
  std::string shape = "round";
  bool skip = false;
  double scale = 1.0;
  std::vector<double> steps;
  template <class Visitor>
  static void describe(Visitor& v) {
    v.field("size", &After::size, {}, "how large");
    v.field("shape", &After::shape, {.off = R"("square")"}, "what it looks like");
    v.field("skip", &After::skip, {.off = "false"}, "whether to leave it out");
    v.field("scale", &After::scale, {.off = "1.0"}, "a factor");
    v.field("steps", &After::steps, {.off = "[]"}, "factors");
  }
};

TEST(OffKeys, LeaveTheTextOfAStageAsItWas) {
  After after;
  after.shape = "square";
  EXPECT_EQ(recipe::canonical_text(after), recipe::canonical_text(Before{}));
  after.skip = true;
  EXPECT_EQ(recipe::canonical_text(after), recipe::canonical_text(Before{}) + "skip = true\n");
}

TEST(OffKeys, ADefaultThatIsNotOffChangesTheText) {
  EXPECT_EQ(recipe::canonical_text(After{}),
            recipe::canonical_text(Before{}) + "shape = \"round\"\n");
}

TEST(OffKeys, WhatWasWrittenBeforeAKeyReadsAsOff) {
  const auto read = recipe::from_text<After>(recipe::to_text(Before{}));
  EXPECT_EQ(read.shape, "square");
  EXPECT_EQ(read.scale, 1.0);
  EXPECT_TRUE(read.steps.empty());
  EXPECT_EQ(recipe::from_text<After>("shape = \"flat\"\n").shape, "flat");
  EXPECT_EQ(recipe::from_text<After>(recipe::to_text(After{})).shape, "round");
}

constexpr const char* kGrowing = R"(
[experiment]
name = "x"
[dataset]
name = "esc50"
root = "data"
val_fold = 4
[model]
arch = "ast-nano"
[optimiser]
lr = 1e-4
[stages.train]
do = "train"
[stages.eval]
do = "evaluate"
checkpoint = "${stages.train.last}"
)";

/// exp's language with one more key in [train] and [dataset].
recipe::Language grown(const recipe::Value& default_value) {
  recipe::Language out = language();
  out.check = nullptr;
  for (recipe::SectionSpec& section : out.sections) {
    if (section.name != "train" && section.name != "dataset") continue;
    recipe::FieldSpec field;
    field.section = section.name;
    field.key = "warmth";
    field.leaf = recipe::Leaf::kFloat;
    field.spec.off = "0.0";
    field.help = "a key of the next version";
    field.defaults = {default_value};
    section.fields.push_back(field);
  }
  return out;
}

std::string hash_in(const recipe::Language& language, const std::vector<std::string>& sets) {
  const RecipeFiles files(kGrowing);
  return recipe::load(language, files.path(), RecipeFiles::options_of(sets)).hash();
}

TEST(OffKeys, LeaveTheHashOfARecipeAsItWas) {
  const std::string before = hash_in(language(), {});
  const recipe::Language off = grown(recipe::Value(0.0));
  EXPECT_EQ(hash_in(off, {}), before);
  EXPECT_EQ(hash_in(off, {"train.warmth=0"}), before);
  EXPECT_NE(hash_in(off, {"train.warmth=1"}), before);
  const std::string further = R"(dataset.also=[{ name = "esc50", root = "more" }])";
  EXPECT_EQ(hash_in(off, {further}), hash_in(language(), {further}));
}

TEST(OffKeys, AnotherDefaultChangesTheHashAndOffGivesItBack) {
  const std::string before = hash_in(language(), {});
  const recipe::Language on = grown(recipe::Value(2.0));
  EXPECT_NE(hash_in(on, {}), before);
  EXPECT_EQ(hash_in(on, {"train.warmth=0", "dataset.warmth=0"}), before);
}

std::vector<const recipe::FieldSpec*> hashed_keys() {
  std::vector<const recipe::FieldSpec*> out;
  const auto add = [&](const recipe::SectionSpec& section) {
    for (const recipe::FieldSpec& field : section.fields) {
      if (field.spec.hash == recipe::HashClass::kResult) out.push_back(&field);
    }
  };
  for (const recipe::SectionSpec& section : language().sections) add(section);
  add(language().stage_keys);
  return out;
}

std::set<std::string> lines_of(const std::filesystem::path& file) {
  std::set<std::string> out;
  const std::string text = read_file(file);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    out.insert(text.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

// The list is closed: a key that is not in it is new, and needs an off value.
TEST(OffKeys, EveryNewKeyHasOne) {
  const std::set<std::string> old =
      lines_of(xp::testing::source_dir() / "tests/fixtures/keys_without_off.txt");
  for (const recipe::FieldSpec* field : hashed_keys()) {
    EXPECT_EQ(old.count(field->dotted()) != 0, field->spec.off.empty())
        << field->dotted() << (field->spec.off.empty() ? " needs an off value" : " is listed");
  }
}

TEST(OffKeys, EveryOneIsAValueOfItsKeyAsExpWritesIt) {
  for (const recipe::FieldSpec* field : hashed_keys()) {
    if (field->spec.off.empty()) continue;
    const recipe::Value off = recipe::parse_toml_value(field->spec.off, -1);
    EXPECT_EQ(recipe::to_toml(off), field->spec.off) << field->dotted();
    EXPECT_EQ(off.data.index(), field->default_of(0).data.index()) << field->dotted();
    EXPECT_EQ(field->fault(off, true).value_or(""), "") << field->dotted();
  }
}

}  // namespace
}  // namespace xp::schema
