#include "tests/testing/fixtures.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include <gtest/gtest.h>

#include "tests/testing/temp_dir.h"

namespace xp::testing {
namespace fs = std::filesystem;

namespace {

std::string number(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

std::string dims(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

/// [2, 3] of the flat index 7 in a shape of [4, 2].
std::string position(const std::vector<int64_t>& shape, int64_t flat) {
  std::vector<int64_t> index(shape.size());
  for (size_t i = shape.size(); i-- > 0;) {
    index[i] = flat % shape[i];
    flat /= shape[i];
  }
  return dims(index);
}

}  // namespace

int64_t Array::size() const {
  int64_t n = 1;
  for (int64_t d : shape) n *= d;
  return n;
}

std::vector<double> Array::values() const {
  if (!f64.empty()) return f64;
  if (!i64.empty()) return {i64.begin(), i64.end()};
  return {f32.begin(), f32.end()};
}

std::vector<float> Array::floats() const {
  if (is_integer()) throw std::runtime_error("floats() of an integer dataset");
  if (!f32.empty()) return f32;
  return {f64.begin(), f64.end()};
}

double Array::scalar() const {
  if (size() != 1) throw std::runtime_error("scalar() of a dataset of shape " + dims(shape));
  return values()[0];
}

const Array& Case::at(const std::string& dataset) const {
  const auto found = arrays.find(dataset);
  if (found == arrays.end()) throw std::runtime_error(name + ": no dataset " + dataset);
  return found->second;
}

Tolerance Case::tolerance(const std::string& dataset) const {
  const auto& section = json.at("tolerance");
  std::string leaf = dataset;
  if (leaf.rfind("output/", 0) == 0) leaf = leaf.substr(7);
  const nlohmann::json* found = section.contains("default") ? &section.at("default") : nullptr;
  if (section.contains("outputs")) {
    const auto& outputs = section.at("outputs");
    const std::string last = leaf.substr(leaf.rfind('/') + 1);
    if (outputs.contains(leaf)) {
      found = &outputs.at(leaf);
    } else if (outputs.contains(last)) {
      found = &outputs.at(last);
    }
  }
  if (!found) throw std::runtime_error(name + ": case.json states no tolerance for " + dataset);
  return {found->at("abs").get<double>(), found->at("rel").get<double>()};
}

std::vector<fs::path> split_roots(std::string_view listed) {
  std::vector<fs::path> roots;
  std::istringstream folders{std::string(listed)};
  for (std::string folder; std::getline(folders, folder, ':');)
    if (!folder.empty()) roots.emplace_back(folder);
  return roots;
}

std::vector<fs::path> fixtures_roots() { return split_roots(env("EXP_FIXTURES")); }

std::vector<CaseFolder> find_cases(const std::vector<fs::path>& roots) {
  std::vector<std::pair<fs::path, CaseFolder>> found;  // with its root
  std::map<std::string, int> times;
  for (const fs::path& root : roots) {
    if (!fs::is_directory(root)) continue;
    std::vector<fs::path> folders;
    if (fs::exists(root / "case.json")) folders.push_back(root);
    for (const auto& entry : fs::recursive_directory_iterator(root)) {
      if (entry.is_directory() && fs::exists(entry.path() / "case.json"))
        folders.push_back(entry.path());
    }
    std::sort(folders.begin(), folders.end());
    for (const fs::path& folder : folders) {
      found.push_back({root, {folder, fs::relative(folder, root).string()}});
      ++times[found.back().second.name];
    }
  }
  std::vector<CaseFolder> cases;
  for (auto& [root, one] : found) {
    if (times[one.name] > 1) one.name = (root / one.name).string();
    cases.push_back(std::move(one));
  }
  return cases;
}

namespace {

nlohmann::json read_json(const fs::path& folder) {
  std::ifstream in(folder / "case.json");
  if (!in) throw std::runtime_error((folder / "case.json").string() + ": cannot be read");
  return nlohmann::json::parse(in);
}

std::string kind_of(const fs::path& folder) { return read_json(folder).at("kind"); }

}  // namespace

Case read_case(const CaseFolder& found) {
  Case out;
  out.folder = found.folder;
  out.name = found.name;
  const nlohmann::json json = read_json(found.folder);
  out.json = json;
  out.kind = json.at("kind").get<std::string>();
  if (json.contains("arguments")) out.arguments = json.at("arguments");
  if (fs::exists(found.folder / "case.h5")) out.arrays = read_h5(found.folder / "case.h5");
  return out;
}

std::vector<Case> cases_of_kind(const std::string& kind, const std::vector<fs::path>& roots) {
  std::vector<Case> cases;
  for (const CaseFolder& found : find_cases(roots))
    if (kind_of(found.folder) == kind) cases.push_back(read_case(found));
  return cases;
}

std::optional<fs::path> fixture(const std::string& below, const std::vector<fs::path>& roots) {
  for (const fs::path& root : roots)
    if (fs::exists(root / below)) return root / below;
  return std::nullopt;
}

void Report::fail(std::string message) { failures_.push_back(std::move(message)); }

void Report::note(const std::string& dataset, double error, double share) {
  if (worst_dataset_.empty() || share > worst_share_ ||
      (share == worst_share_ && error > worst_error_)) {
    worst_dataset_ = dataset;
    worst_error_ = error;
    worst_share_ = share;
  }
}

void Report::compare_all(const std::string& dataset, const std::vector<double>& got,
                         std::optional<Tolerance> given) {
  const Array& want = case_.at(dataset);
  seen_.insert(dataset);
  compared_with_.insert(dataset);
  ++compared_;
  if (static_cast<int64_t>(got.size()) != want.size()) {
    fail(dataset + " " + dims(want.shape) + ": got " + std::to_string(got.size()) + " values");
    return;
  }
  const Tolerance tolerance =
      want.is_integer() ? Tolerance{} : (given ? *given : case_.tolerance(dataset));
  const std::vector<double> expected = want.values();
  int64_t wrong = 0;
  int64_t worst_at = -1;
  double worst_share = -1;
  double worst_error = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double a = got[i];
    const double b = expected[i];
    if (a == b || (std::isnan(a) && std::isnan(b))) continue;
    const double error = std::fabs(a - b);
    const double limit = tolerance.abs + tolerance.rel * std::fabs(b);
    double share = limit > 0 ? error / limit : INFINITY;
    if (std::isnan(share) || std::isinf(b)) share = INFINITY;
    if (share > 1) ++wrong;
    if (share > worst_share) {
      worst_share = share;
      worst_error = error;
      worst_at = static_cast<int64_t>(i);
    }
  }
  if (dataset.rfind("output/", 0) == 0) note(dataset, worst_error, std::max(worst_share, 0.0));
  if (wrong == 0) return;
  const auto at = static_cast<size_t>(worst_at);
  fail(dataset + " " + dims(want.shape) + ": " + std::to_string(wrong) + " of " +
       std::to_string(got.size()) + " values differ; worst at " + position(want.shape, worst_at) +
       ": got " + number(got[at]) + ", want " + number(expected[at]) + " (abs " +
       number(tolerance.abs) + ", rel " + number(tolerance.rel) + ")");
}

void Report::compare(const std::string& dataset, std::span<const float> got,
                     std::optional<Tolerance> tolerance) {
  compare_all(dataset, {got.begin(), got.end()}, tolerance);
}

void Report::compare(const std::string& dataset, std::span<const double> got,
                     std::optional<Tolerance> tolerance) {
  compare_all(dataset, {got.begin(), got.end()}, tolerance);
}

void Report::compare(const std::string& dataset, std::span<const int64_t> got) {
  if (!case_.at(dataset).is_integer() && !got.empty()) {
    fail(dataset + ": integers compared with a floating-point dataset");
  }
  compare_all(dataset, {got.begin(), got.end()}, std::nullopt);
}

void Report::compare_value(const std::string& what, double got, double want, Tolerance tolerance) {
  ++compared_;
  const double error = got == want ? 0 : std::fabs(got - want);
  const double limit = tolerance.abs + tolerance.rel * std::fabs(want);
  const bool both_nan = std::isnan(got) && std::isnan(want);
  if (!(error <= limit) && !both_nan)
    fail(what + ": got " + number(got) + ", want " + number(want));
}

void Report::compare_text(const std::string& what, std::string_view got, std::string_view want) {
  ++compared_;
  if (got != want)
    fail(what + ": got '" + std::string(got) + "', want '" + std::string(want) + "'");
}

void Report::elsewhere(const std::string& dataset, std::string_view folder) {
  static_cast<void>(folder);  // said at the call for the reader
  case_.at(dataset);
  seen_.insert(dataset);
}

void Report::refused(std::string_view message, const std::vector<std::string>& names) {
  ++compared_;
  for (const std::string& name : names) {
    if (message.find(name) == message.npos)
      fail("the refusal does not name " + name + ": " + std::string(message));
  }
  for (const auto& [dataset, array] : case_.arrays) seen_.insert(dataset);
}

void Report::every_setting(const std::vector<std::string>& facts) {
  facts_.emplace(facts.begin(), facts.end());
}

namespace {

/// Whether an entry of case.json tells of the case itself and is no option of a model.
bool tells_of_the_case(const std::string& key, const nlohmann::json& value) {
  static const std::set<std::string> facts = {
      "case",         "kind",          "arguments",       "torch",
      "source_repo",  "source_commit", "source_function", "seed",
      "weights_seed", "datasets",      "tolerance",       "unused_keys",
      "missing_keys", "shows",         "if_ignored",      "weights_note",
      "formulas"};
  const auto ends = [&](std::string_view end) {
    return key.size() >= end.size() && key.ends_with(end);
  };
  return facts.count(key) != 0 || ends("note") || ends("rule") || ends("_max_abs") ||
         (value.is_string() && value.get<std::string>().find(' ') != std::string::npos);
}

}  // namespace

void Report::finish() {
  for (const auto& [dataset, array] : case_.arrays) {
    if (dataset.rfind("output/", 0) == 0 && !seen_.count(dataset)) fail(dataset + ": not compared");
  }
  if (compared_ == 0 && seen_.empty()) fail("nothing was compared");
  for (const std::string& key : case_.arguments.unread())
    fail("unknown option '" + key + "' among the arguments");
  if (!facts_) return;
  for (const std::string& key : case_.json.unread()) {
    if (facts_->count(key) == 0 && !tells_of_the_case(key, case_.json.at(key)))
      fail("unknown option '" + key + "'");
  }
}

std::string Report::summary() const {
  char text[160];
  if (worst_dataset_.empty()) {
    std::snprintf(text, sizeof text, "exact, %d compared", compared_);
    return text;
  }
  std::snprintf(text, sizeof text, "worst |error| %.2g (%.3g of the tolerance) in ", worst_error_,
                worst_share_);
  return text + worst_dataset_ + ", " + std::to_string(compared_) + " compared";
}

const std::vector<std::string>& known_kinds() {
  static const std::vector<std::string> kinds = {"frontend/augment_mel_stft",
                                                 "frontend/kaldi_fbank",
                                                 "hear",
                                                 "metrics",
                                                 "model/ast",
                                                 "model/ast_grid",
                                                 "model/checkpoint_formats",
                                                 "model/efficientat",
                                                 "model/hf_ast",
                                                 "model/init",
                                                 "model/passt",
                                                 "model/ssast",
                                                 "model/tome",
                                                 "model/torchonly",
                                                 "train/kd_loss",
                                                 "train/kd_student_temperature",
                                                 "train/losses",
                                                 "train/mixup",
                                                 "train/optimiser_step",
                                                 "train/sample_weights",
                                                 "train/schedules",
                                                 "train/specaugment"};
  return kinds;
}

namespace {

bool at_or_below(const std::string& name, const std::string& under) {
  return name == under || name.rfind(under + '/', 0) == 0;
}

void run_case(const CaseFolder& found, const std::vector<std::string>& unders,
              const Drivers& drivers, ParityResult& result) {
  const std::string& name = found.name;
  try {
    const std::string kind = kind_of(found.folder);
    const bool wanted = std::any_of(unders.begin(), unders.end(), [&](const std::string& under) {
      return at_or_below(kind, under);
    });
    if (!wanted) return;
    ++result.found;
    const auto driver = drivers.find(kind);
    if (driver == drivers.end()) {
      result.failures.push_back(name + ": unknown kind '" + kind + "'");
      return;
    }
    const Case expected = read_case(found);
    Report report(expected);
    driver->second(expected, report);
    report.finish();
    ++result.compared;
    result.lines.push_back(name + ": " + report.summary());
    for (const auto& failure : report.failures()) result.failures.push_back(name + ": " + failure);
  } catch (const std::exception& error) {
    result.failures.push_back(name + ": " + error.what());
  }
}

}  // namespace

ParityResult run_cases(const std::vector<fs::path>& roots, const std::vector<std::string>& unders,
                       const Drivers& drivers) {
  ParityResult result;
  for (const fs::path& root : roots) {
    if (find_cases({root}).empty())
      result.failures.push_back(root.string() + ": no case.json below this folder");
  }
  for (const CaseFolder& found : find_cases(roots)) run_case(found, unders, drivers, result);
  return result;
}

void expect_parity(const std::vector<std::string>& unders, const Drivers& drivers) {
  const auto roots = fixtures_roots();
  if (roots.empty()) GTEST_SKIP() << "EXP_FIXTURES is unset";
  const auto& kinds = known_kinds();
  for (const auto& [kind, driver] : drivers) {
    if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end())
      ADD_FAILURE() << kind << " is not among known_kinds() of tests/testing/fixtures.cpp";
  }
  const ParityResult result = run_cases(roots, unders, drivers);
  for (const auto& line : result.lines) std::printf("%s\n", line.c_str());
  std::printf("%d found, %d compared\n", result.found, result.compared);
  for (const auto& failure : result.failures) ADD_FAILURE() << failure;
  EXPECT_EQ(result.found, result.compared);
}

namespace {

/// Its first finite value moved by ten tolerances; false when it has none.
bool flip(Case& c, const std::string& dataset) {
  Array& array = c.arrays.at(dataset);
  if (array.is_integer()) {
    ++array.i64.front();
    return true;
  }
  const auto move = [&](auto& values) {
    for (auto& value : values) {
      if (!std::isfinite(value)) continue;
      const Tolerance t = c.tolerance(dataset);
      value += static_cast<float>(10 * (t.abs + t.rel * std::fabs(value)) + 1e-4);
      return true;
    }
    return false;
  };
  return move(array.f32) || move(array.f64);
}

}  // namespace

void expect_flips_noticed(const Drivers& drivers) {
  const auto roots = fixtures_roots();
  if (roots.empty()) GTEST_SKIP() << "EXP_FIXTURES is unset";
  int flipped = 0;
  int cases = 0;
  for (const auto& [kind, driver] : drivers) {
    for (Case& c : cases_of_kind(kind)) {
      ++cases;
      std::vector<std::string> moved;
      for (auto& [dataset, array] : c.arrays) {
        if (dataset.rfind("output/", 0) == 0 && flip(c, dataset)) moved.push_back(dataset);
      }
      Report report(c);
      driver(c, report);
      for (const std::string& dataset : moved) {
        if (!report.was_compared(dataset)) continue;  // a forgotten one fails in expect_parity
        ++flipped;
        const auto names = [&](const std::string& failure) {
          return failure.rfind(dataset + ' ', 0) == 0;
        };
        EXPECT_TRUE(std::any_of(report.failures().begin(), report.failures().end(), names))
            << c.name << ": a flipped value of " << dataset << " was not noticed";
      }
    }
  }
  if (cases == 0) GTEST_SKIP() << "no case of these kinds";
  std::printf("%d values flipped\n", flipped);
  EXPECT_GT(flipped, 0);
}

}  // namespace xp::testing
