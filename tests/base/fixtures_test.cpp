// The helper that every parity test stands on: it must notice a wrong value, a forgotten dataset
// and an unknown kind.
#include "tests/testing/fixtures.h"

#include <algorithm>
#include <cmath>
#include <fstream>

#include <gtest/gtest.h>

#include "tests/testing/put.h"
#include "tests/testing/temp_dir.h"

namespace xp::testing {
namespace fs = std::filesystem;
namespace {

TEST(FixturesParity, EveryCaseIsOfAKindThatSomeTestCompares) {
  const auto roots = fixtures_roots();
  if (roots.empty()) GTEST_SKIP() << "EXP_FIXTURES is unset";
  const auto& kinds = known_kinds();
  for (const CaseFolder& found : find_cases(roots)) {
    std::ifstream in(found.folder / "case.json");
    const std::string kind = nlohmann::json::parse(in).at("kind").get<std::string>();
    EXPECT_NE(std::find(kinds.begin(), kinds.end(), kind), kinds.end())
        << found.name << ": unknown kind '" << kind << "'";
  }
}

/// Cases of one root, each with nothing but a kind.
void make_cases(const fs::path& root, const std::vector<std::string>& names) {
  for (const std::string& name : names) put(root / name / "case.json", R"({"kind": "model/ast"})");
}

TEST(Fixtures, CasesOfEveryFolderAreFound) {
  const TempDir dir;
  make_cases(dir / "first", {"model/a", "model/b"});
  make_cases(dir / "second", {"model/b", "mine"});
  const auto roots = split_roots((dir / "first").string() + "::" + (dir / "second").string());
  EXPECT_EQ(roots, (std::vector<fs::path>{dir / "first", dir / "second"}));
  std::vector<std::string> names;
  for (const CaseFolder& found : find_cases(roots)) names.push_back(found.name);
  EXPECT_EQ(names, (std::vector<std::string>{"model/a", (dir / "first/model/b").string(), "mine",
                                             (dir / "second/model/b").string()}));
  EXPECT_EQ(cases_of_kind("model/ast", roots).size(), 4U);
  EXPECT_EQ(fixture("mine", roots), dir / "second/mine");
  EXPECT_EQ(fixture("yours", roots), std::nullopt);
  int seen = 0;
  const Drivers drivers = {{"model/ast", [&](const Case&, Report& report) {
                              ++seen;
                              report.compare_value("one", 1, 1);
                            }}};
  const ParityResult result = run_cases(roots, {"model"}, drivers);
  EXPECT_EQ(result.found, 4);
  EXPECT_EQ(result.compared, 4);
  EXPECT_EQ(seen, 4);
  EXPECT_TRUE(result.failures.empty());
  const ParityResult absent = run_cases({dir / "first", dir / "third"}, {"model"}, drivers);
  EXPECT_EQ(absent.failures, std::vector<std::string>{(dir / "third").string() +
                                                      ": no case.json below this folder"});
}

TEST(Fixtures, AnUnknownKindFails) {
  const TempDir dir;
  make_cases(dir.path(), {"anywhere"});
  const ParityResult result = run_cases({dir.path()}, {"model"}, {});
  EXPECT_EQ(result.found, 1);
  EXPECT_EQ(result.compared, 0);
  EXPECT_EQ(result.failures, std::vector<std::string>{"anywhere: unknown kind 'model/ast'"});
}

TEST(Fixtures, AnUnknownOptionFails) {
  const TempDir dir;
  put(dir / "case/case.json", R"({"kind": "model/ast", "case": "case", "seed": 3, "depth": 2,
      "note": 7, "rule": "some words", "odd": 1, "prose": "more than a word", "facts_of_it": 2,
      "arguments": {"width": 2, "unset": null, "odd": true, "idle": 1}})");
  const auto failures = [&](const Driver& driver) {
    return run_cases({dir.path()}, {"model"}, {{"model/ast", driver}}).failures;
  };
  const auto reads = [](const Case& c, Report& report) {
    report.compare_value("width", c.arguments.value("width", 0), 2);
    report.compare_value("unset", c.arguments.value("unset", 5), 5);
    report.compare_value("depth", c.json.at("depth"), 2);
    c.arguments.without_effect({"idle"});
  };
  EXPECT_EQ(failures(reads),
            std::vector<std::string>{"case: unknown option 'odd' among the arguments"});
  EXPECT_EQ(failures([&](const Case& c, Report& report) {
              reads(c, report);
              report.every_setting({"facts_of_it"});
            }),
            (std::vector<std::string>{"case: unknown option 'odd' among the arguments",
                                      "case: unknown option 'odd'"}));
}

TEST(Fixtures, ARefusalNamesWhatItRefuses) {
  Case made;
  made.arrays["output/logits"] = Array{{1}, {1.0F}, {}, {}};
  Report named(made);
  named.refused("hidden_act = relu cannot be computed", {"hidden_act", "relu"});
  named.finish();
  EXPECT_EQ(named.failures(), std::vector<std::string>{});
  EXPECT_FALSE(named.was_compared("output/logits"));
  Report vague(made);
  vague.refused("no", {"relu"});
  EXPECT_EQ(vague.failures(), std::vector<std::string>{"the refusal does not name relu: no"});
}

/// A case that any fixtures have: the first with a float output of some values.
std::optional<std::pair<CaseFolder, std::string>> some_output() {
  for (const CaseFolder& found : find_cases(fixtures_roots())) {
    const Case c = read_case(found);
    for (const auto& [dataset, array] : c.arrays) {
      if (dataset.rfind("output/", 0) == 0 && array.f32.size() > 3) return {{found, dataset}};
    }
  }
  return std::nullopt;
}

TEST(FixturesParity, AFlippedValueFails) {
  const auto some = some_output();
  if (!some) GTEST_SKIP() << "EXP_FIXTURES is unset, or has no such case";
  const auto& [found, dataset] = *some;
  const Case original = read_case(found);
  const TempDir dir;
  fs::copy(found.folder, dir / "copy", fs::copy_options::recursive);
  for (const auto& entry : fs::recursive_directory_iterator(dir / "copy"))
    fs::permissions(entry.path(), fs::perms::owner_write, fs::perm_options::add);
  // Hands every output back as it was.
  const Drivers drivers = {{original.kind, [&](const Case& c, Report& report) {
                              for (const auto& [name, array] : original.arrays) {
                                if (name.rfind("output/", 0) != 0) continue;
                                if (array.is_integer())
                                  report.compare(name, array.i64);
                                else
                                  report.compare(name, array.values());
                              }
                              for (const std::string& key : c.arguments.unread())
                                c.arguments.at(key);
                            }}};
  const ParityResult same = run_cases({dir.path()}, {original.kind}, drivers);
  EXPECT_EQ(same.found, 1);
  EXPECT_EQ(same.compared, 1);
  EXPECT_EQ(same.failures, std::vector<std::string>{});

  const double moved = 1 + 10 * std::fabs(original.at(dataset).values().at(2));
  shift_value(dir / "copy/case.h5", dataset, 2, moved);
  const ParityResult shifted = run_cases({dir.path()}, {original.kind}, drivers);
  ASSERT_EQ(shifted.failures.size(), 1U);
  EXPECT_EQ(shifted.failures[0].rfind("copy: " + dataset + " [", 0), 0U) << shifted.failures[0];
  EXPECT_NE(shifted.failures[0].find(": 1 of " + std::to_string(original.at(dataset).size()) +
                                     " values differ; worst"),
            std::string::npos)
      << shifted.failures[0];
}

TEST(Fixtures, AForgottenDatasetFails) {
  Case made;
  made.json = nlohmann::json::parse(R"({"tolerance": {"default": {"abs": 0, "rel": 0}}})");
  for (const char* name : {"output/a", "output/b", "output/c"})
    made.arrays[name] = Array{{1}, {1.0F}, {}, {}};
  Report report(made);
  report.compare("output/a", std::span<const float>(made.at("output/a").f32));
  report.elsewhere("output/b", "core/frontend");
  report.finish();
  EXPECT_EQ(report.failures(), std::vector<std::string>{"output/c: not compared"});
}

TEST(Fixtures, AFolderWithoutCasesFails) {
  const fs::path absent = fs::temp_directory_path() / "xp_no_such_folder";
  EXPECT_EQ(run_cases({absent}, {"model"}, {}).failures,
            std::vector<std::string>{absent.string() + ": no case.json below this folder"});
}

TEST(Fixtures, Tolerance) {
  Case made;
  made.name = "made";
  made.json = nlohmann::json::parse(
      R"({"tolerance": {"default": {"abs": 0.1, "rel": 0}, "outputs": {"b": {"abs": 0, "rel": 0.5}}}})");
  made.arrays["output/a"] = Array{{2}, {1.0F, NAN}, {}, {}};
  made.arrays["output/b"] = Array{{}, {}, {4.0}, {}};
  made.arrays["output/n"] = Array{{1}, {}, {}, {7}};
  struct Row {
    const char* name;
    std::vector<double> a;
    double b;
    int64_t n;
    std::vector<std::string> failures;
  };
  const Row rows[] = {
      {"inside", {1.05, NAN}, 5.9, 7, {}},
      {"outside the default",
       {1.2, NAN},
       4,
       7,
       {"output/a [2]: 1 of 2 values differ; worst at [0]: got 1.2, want 1 (abs 0.1, rel 0)"}},
      {"NaN against a number",
       {1.0, 0.0},
       4,
       7,
       {"output/a [2]: 1 of 2 values differ; worst at [1]: got 0, want nan (abs 0.1, rel 0)"}},
      {"outside its own",
       {1.0, NAN},
       6.5,
       7,
       {"output/b []: 1 of 1 values differ; worst at []: got 6.5, want 4 (abs 0, rel 0.5)"}},
      {"integers are exact",
       {1.0, NAN},
       4,
       8,
       {"output/n [1]: 1 of 1 values differ; worst at [0]: got 8, want 7 (abs 0, rel 0)"}},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    Report report(made);
    report.compare("output/a", std::span<const double>(row.a));
    report.compare("output/b", std::span<const double>(&row.b, 1));
    report.compare("output/n", std::span<const int64_t>(&row.n, 1));
    report.finish();
    EXPECT_EQ(report.failures(), row.failures);
  }
}

}  // namespace
}  // namespace xp::testing
