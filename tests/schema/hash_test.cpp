// What changes a recipe's hash, and what does not.
#include <algorithm>
#include <map>
#include <random>
#include <set>

#include <gtest/gtest.h>

#include "core/recipe/language.h"
#include "tests/schema/recipe_files.h"

namespace xp::schema {
namespace {

constexpr const char* kRecipe = R"(
[experiment]
name = "x"
[dataset]
name = "esc50"
root = "data"
val_fold = 4
[frontend]
frames = 512
[model]
arch = "passt-s"
weights = "none"
[tome]
r = 4
[kd]
enabled = true
logits = "${stages.teach.output}"
[optimiser]
lr = 1e-4
[schedule]
kind = "exp_linear"
[averaging]
kind = "swa"
[sampler]
kind = "importance"
[stages.teacher]
do = "train"
with = { kd.enabled = false, optimiser = { kind = "sgd", lr = 0.1 }, averaging = { kind = "ema" } }
[stages.teach]
do = "teach"
checkpoint = "${stages.teacher.last}"
[stages.pre]
do = "pretrain"
with = { model = { arch = "ssast-base-patch" }, schedule = { kind = "plateau" } }
[stages.train]
do = "train"
[stages.eval]
do = "evaluate"
checkpoint = "${stages.train.last}"
)";

/// exp's language without cross-field rules: a mutation may break them.
const recipe::Language& plain_language() {
  static const recipe::Language plain = [] {
    recipe::Language out = language();
    out.check = nullptr;
    return out;
  }();
  return plain;
}

std::string hash_of(const std::filesystem::path& path, const std::vector<std::string>& sets = {}) {
  return recipe::load(plain_language(), path, RecipeFiles::options_of(sets)).hash();
}

/// Another value that the key may have, as --set takes it; "" when there is none.
std::string mutated(const recipe::FieldSpec& field, const recipe::Value& now) {
  using recipe::Leaf;
  const auto fits = [&](const recipe::Value& value) {
    return !field.fault(value, true) && !(value == now);
  };
  std::vector<recipe::Value> tries;
  switch (field.leaf) {
    case Leaf::kBool:
      tries = {recipe::Value(true), recipe::Value(false)};
      break;
    case Leaf::kInt:
    case Leaf::kIntOrList:
      tries = {recipe::Value(int64_t{3}), recipe::Value(int64_t{2}), recipe::Value(int64_t{64}),
               recipe::Value(int64_t{9000})};
      break;
    case Leaf::kFloat:
      tries = {recipe::Value(0.25), recipe::Value(0.5), recipe::Value(7.5)};
      break;
    case Leaf::kEnum:
      for (const std::string& name : field.names) tries.emplace_back(name);
      break;
    case Leaf::kString:
      tries = {recipe::Value("other"), recipe::Value("max:val.acc"), recipe::Value("passt-l")};
      break;
    case Leaf::kStrings:
      tries = {recipe::Value(recipe::Array{recipe::Value("last")})};
      break;
    case Leaf::kEnums:
      tries = {recipe::Value(recipe::Array{recipe::Value(field.names.back())})};
      break;
    case Leaf::kFloats:
      tries = {recipe::Value(recipe::Array{recipe::Value(0.1), recipe::Value(0.2)})};
      break;
    default:
      return "";
  }
  for (const recipe::Value& value : tries) {
    const std::string* text = value.get<std::string>();
    if (fits(value)) return text != nullptr ? *text : recipe::to_toml(value);
  }
  return "";
}

/// What changes one leaf, and the hash that it gives.
struct Mutation {
  std::string set;
  bool result = false;
  bool kind = false;
  std::string hash;
};

/// One for each leaf that can be set alone; `unread` counts the rest.
std::vector<Mutation> mutations_of(const RecipeFiles& files, int& unread) {
  std::vector<Mutation> out;
  const recipe::Recipe recipe = recipe::load(plain_language(), files.path(), {});
  for (const recipe::SectionSpec& section : language().sections) {
    for (const recipe::FieldSpec& field : section.fields) {
      const auto found = recipe.base().sections.find(section.name);
      const recipe::Section values =
          found == recipe.base().sections.end() ? recipe::Section{} : found->second;
      const std::string text = mutated(field, section.effective(field, values));
      if (text.empty() || field.key == "goals") continue;
      const std::string set = field.dotted() + "=" + text;
      try {
        const bool result = field.spec.hash == recipe::HashClass::kResult && !field.spec.path;
        out.push_back({set, result, field.is_kind, hash_of(files.path(), {set})});
      } catch (const recipe::RecipeError&) {
        ++unread;  // no stage reads it as the recipe stands, or the kind has no such key
      }
    }
  }
  return out;
}

TEST(RecipeHash, EveryResultLeafAndNoOtherChangesIt) {
  const RecipeFiles files(kRecipe);
  const std::string before = hash_of(files.path());
  int unread = 0;
  int results = 0;
  const std::vector<Mutation> mutations = mutations_of(files, unread);
  for (const Mutation& mutation : mutations) {
    results += mutation.result ? 1 : 0;
    EXPECT_EQ(mutation.hash != before, mutation.result) << mutation.set;
  }
  EXPECT_GE(results, 110);
  EXPECT_GE(static_cast<int>(mutations.size()) - results, 15);
  EXPECT_LE(unread, 50);
}

/// The same recipe, written differently: sections and keys in any order, comments, blanks, inline
/// tables.
std::string shuffled(const std::string& text, std::mt19937& random) {
  std::vector<std::pair<std::string, std::vector<std::string>>> sections;
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = text.find('\n', begin);
    const std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    if (line.empty() || line.front() == '#') continue;
    if (line.front() == '[') {
      sections.push_back({line, {}});
    } else {
      sections.back().second.push_back(line);
    }
  }
  std::shuffle(sections.begin(), sections.end(), random);
  std::string out = "# shuffled\n";
  for (auto& [header, lines] : sections) {
    std::shuffle(lines.begin(), lines.end(), random);
    out += "\n  " + header + (random() % 2 == 0 ? "  # a comment = 3\n" : "\r\n");
    for (const std::string& line : lines) {
      const std::size_t equals = line.find(" = ");
      out += std::string(random() % 3, '\t') + line.substr(0, equals) +
             (random() % 2 == 0 ? "=" : "   =\t") + line.substr(equals + 3);
      out += random() % 4 == 0 ? "# [x]\n" : "\n";
    }
  }
  return out;
}

void check_permutations(int count) {
  const RecipeFiles files(kRecipe);
  const std::string before = hash_of(files.path());
  const std::string shown = recipe::load(plain_language(), files.path(), {}).show();
  std::mt19937 random(17);
  for (int i = 0; i < count; ++i) {
    const RecipeFiles other(shuffled(shown, random));
    ASSERT_EQ(hash_of(other.path()), before) << i;
  }
}

TEST(RecipeHash, WritingItOtherwiseDoesNotChangeIt) { check_permutations(50); }

TEST(RecipeHashStress, WritingItOtherwiseDoesNotChangeIt) { check_permutations(1000); }

/// Several leaves changed at once, in any order: the hash is one for each set of result leaves,
/// other leaves and the order do not count, and what `show` writes of it, written otherwise, has it
/// too.
void check_mutations(int count) {
  const RecipeFiles files(kRecipe);
  int unread = 0;
  std::vector<std::string> results, others;
  for (const Mutation& mutation : mutations_of(files, unread)) {
    if (!mutation.kind) (mutation.result ? results : others).push_back(mutation.set);
  }
  unread = 0;
  std::map<std::set<std::string>, std::string> hashes = {{{}, hash_of(files.path())}};
  std::mt19937 random(29);
  for (int i = 0; i < count; ++i) {
    std::shuffle(results.begin(), results.end(), random);
    std::shuffle(others.begin(), others.end(), random);
    std::vector<std::string> sets(results.begin(), results.begin() + random() % 3);
    const std::set<std::string> changed(sets.begin(), sets.end());
    sets.insert(sets.end(), others.begin(), others.begin() + random() % 3);
    std::shuffle(sets.begin(), sets.end(), random);
    std::optional<recipe::Recipe> loaded;
    try {
      loaded = recipe::load(plain_language(), files.path(), RecipeFiles::options_of(sets));
    } catch (const Error& error) {
      // One of them turns a section off that another changes.
      ASSERT_NE(error.message().find("has no effect"), std::string::npos) << error.message();
      ++unread;
      continue;
    }
    const recipe::Recipe& recipe = *loaded;
    const auto [known, fresh] = hashes.emplace(changed, recipe.hash());
    ASSERT_EQ(known->second, recipe.hash()) << i;
    const RecipeFiles other(shuffled(recipe.show(), random));
    ASSERT_EQ(hash_of(other.path()), recipe.hash()) << i;
  }
  std::set<std::string> different;
  for (const auto& [changed, hash] : hashes) different.insert(hash);
  EXPECT_EQ(different.size(), hashes.size());
  EXPECT_LT(unread, count / 4);
}

TEST(RecipeHash, EverySetOfResultLeavesHasItsOwn) { check_mutations(60); }

TEST(RecipeHashStress, EverySetOfResultLeavesHasItsOwn) { check_mutations(2000); }

TEST(RecipeHash, PathsCountByWhatTheyHold) {
  RecipeFiles files(kRecipe);
  files.add("one.csv", "index,mid,display_name\n");
  files.add("two.csv", "index,mid,display_name\n");
  files.add("three.csv", "index,mid,name\n");
  const std::string before = hash_of(files.path());
  EXPECT_EQ(hash_of(files.path(), {"dataset.root=/elsewhere"}), before);
  const std::string folder = files.folder().string();
  const std::string one = hash_of(files.path(), {"dataset.labels=" + folder + "/one.csv"});
  EXPECT_NE(one, before);
  EXPECT_EQ(hash_of(files.path(), {"dataset.labels=" + folder + "/two.csv"}), one);
  EXPECT_NE(hash_of(files.path(), {"dataset.labels=" + folder + "/three.csv"}), one);
}

TEST(RecipeHash, IntegersStandForFloats) {
  const RecipeFiles files(kRecipe);
  EXPECT_EQ(hash_of(files.path(), {"kd.temperature=2"}),
            hash_of(files.path(), {"kd.temperature=2.0"}));
}

}  // namespace
}  // namespace xp::schema
