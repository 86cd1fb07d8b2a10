// The helper that every parity test stands on: it must notice a wrong value, a forgotten dataset
// and an unknown kind.
#include "tests/testing/fixtures.h"

#include <algorithm>
#include <cmath>
#include <fstream>

#include <unistd.h>

#include <gtest/gtest.h>

namespace xp::testing {
namespace fs = std::filesystem;
namespace {

/// A copy of one shipped case in a folder of its own.
class CopiedCase {
 public:
  CopiedCase(const fs::path& root, const std::string& name) {
    root_ = fs::temp_directory_path() / ("xp_fixtures_test_" + std::to_string(getpid()));
    fs::remove_all(root_);
    fs::create_directories((root_ / name).parent_path());
    fs::copy(root / name, root_ / name, fs::copy_options::recursive);
    for (const auto& entry : fs::directory_iterator(root_ / name)) {
      fs::permissions(entry.path(), fs::perms::owner_write, fs::perm_options::add);
    }
  }
  ~CopiedCase() { fs::remove_all(root_); }
  const fs::path& root() const { return root_; }

 private:
  fs::path root_;
};

const char* const kName = "frontend/kaldi_fbank/silence";

/// Hands every output back as it was in the original.
Drivers drivers_of(const Case& original) {
  return {{"frontend/kaldi_fbank", [original](const Case&, Report& report) {
             for (const auto& [dataset, array] : original.arrays) {
               if (dataset.rfind("output/", 0) == 0) {
                 report.compare(dataset, std::span<const float>(array.f32));
               }
             }
           }}};
}

TEST(FixturesParity, AFlippedValueFails) {
  const auto root = fixtures_root();
  if (!root) GTEST_SKIP() << "EXP_FIXTURES is unset";
  const Case original = read_case(*root, *root / kName);
  const CopiedCase copy(*root, kName);
  ParityResult result = run_cases(copy.root(), {"frontend"}, drivers_of(original));
  EXPECT_EQ(result.found, 1);
  EXPECT_EQ(result.compared, 1);
  EXPECT_TRUE(result.failures.empty());

  shift_value(copy.root() / kName / "case.h5", "output/fbank", 130, 0.5);
  result = run_cases(copy.root(), {"frontend"}, drivers_of(original));
  ASSERT_EQ(result.failures.size(), 1u);
  EXPECT_EQ(result.failures[0],
            "frontend/kaldi_fbank/silence: output/fbank [23, 128]: 1 of 2944 values differ; worst "
            "at [1, 2]: got "
            "-15.9423847, want -15.4423847 (abs 0.002, rel 0.0001)");
}

TEST(FixturesParity, AnUnknownKindFails) {
  const auto root = fixtures_root();
  if (!root) GTEST_SKIP() << "EXP_FIXTURES is unset";
  const CopiedCase copy(*root, kName);
  const ParityResult result = run_cases(copy.root(), {"frontend"}, {});
  EXPECT_EQ(result.found, 1);
  EXPECT_EQ(result.compared, 0);
  EXPECT_EQ(result.failures,
            std::vector<std::string>{
                "frontend/kaldi_fbank/silence: unknown kind 'frontend/kaldi_fbank'"});
}

TEST(FixturesParity, TheKindFindsACaseInAnyFolder) {
  const auto root = fixtures_root();
  if (!root) GTEST_SKIP() << "EXP_FIXTURES is unset";
  const Case original = read_case(*root, *root / kName);
  const CopiedCase copy(*root, kName);
  fs::rename(copy.root() / kName, copy.root() / "mine");
  const ParityResult result = run_cases(copy.root(), {"frontend"}, drivers_of(original));
  EXPECT_EQ(result.found, 1);
  EXPECT_EQ(result.compared, 1);
}

TEST(FixturesParity, EveryCaseIsOfAKindThatSomeTestCompares) {
  const auto root = fixtures_root();
  if (!root) GTEST_SKIP() << "EXP_FIXTURES is unset";
  const auto& kinds = known_kinds();
  for (const auto& folder : find_cases(*root, "")) {
    std::ifstream in(folder / "case.json");
    const std::string kind = nlohmann::json::parse(in).at("kind").get<std::string>();
    EXPECT_NE(std::find(kinds.begin(), kinds.end(), kind), kinds.end())
        << folder.string() << ": unknown kind '" << kind << "'";
  }
}

TEST(FixturesParity, AForgottenDatasetFails) {
  const auto root = fixtures_root();
  if (!root) GTEST_SKIP() << "EXP_FIXTURES is unset";
  const Case original = read_case(*root, *root / kName);
  Report report(original);
  report.compare("output/fbank", std::span<const float>(original.at("output/fbank").f32));
  report.elsewhere("output/normalised_128", "core/frontend");
  report.elsewhere("output/normalised_512", "core/frontend");
  report.finish();
  EXPECT_EQ(report.failures(), std::vector<std::string>{"output/normalised_1024: not compared"});
}

TEST(Fixtures, AFolderWithoutCasesFails) {
  const fs::path absent = fs::temp_directory_path() / "xp_no_such_folder";
  EXPECT_EQ(run_cases(absent, {"model"}, {}).failures,
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
