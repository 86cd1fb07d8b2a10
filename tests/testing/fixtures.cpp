#include "tests/testing/fixtures.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <stdexcept>

#include <gtest/gtest.h>

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

std::optional<fs::path> fixtures_root() {
  const char* folder = std::getenv("EXP_FIXTURES");
  if (!folder || !*folder) return std::nullopt;
  return fs::path(folder);
}

std::vector<fs::path> find_cases(const fs::path& root, const std::string& under) {
  std::vector<fs::path> found;
  const fs::path top = root / under;
  if (!fs::is_directory(top)) return found;
  if (fs::exists(top / "case.json")) found.push_back(top);
  for (const auto& entry : fs::recursive_directory_iterator(top)) {
    if (entry.is_directory() && fs::exists(entry.path() / "case.json"))
      found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

Case read_case(const fs::path& root, const fs::path& folder) {
  Case out;
  out.folder = folder;
  out.name = fs::relative(folder, root).string();
  std::ifstream in(folder / "case.json");
  if (!in) throw std::runtime_error((folder / "case.json").string() + ": cannot be read");
  out.json = nlohmann::json::parse(in);
  out.kind = out.json.at("kind").get<std::string>();
  if (fs::exists(folder / "case.h5")) out.arrays = read_h5(folder / "case.h5");
  return out;
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

void Report::finish() {
  for (const auto& [dataset, array] : case_.arrays) {
    if (dataset.rfind("output/", 0) == 0 && !seen_.count(dataset)) fail(dataset + ": not compared");
  }
  if (compared_ == 0 && seen_.empty()) fail("nothing was compared");
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
                                                 "model/checkpoint_formats",
                                                 "model/efficientat",
                                                 "model/passt",
                                                 "model/ssast",
                                                 "model/tome",
                                                 "model/torchonly",
                                                 "train/kd_loss",
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

void run_case(const fs::path& root, const fs::path& folder, const std::vector<std::string>& unders,
              const Drivers& drivers, ParityResult& result) {
  const std::string name = fs::relative(folder, root).string();
  try {
    std::ifstream in(folder / "case.json");
    const std::string kind = nlohmann::json::parse(in).at("kind").get<std::string>();
    const bool wanted = std::any_of(unders.begin(), unders.end(), [&](const std::string& under) {
      return at_or_below(kind, under) || at_or_below(name, under);
    });
    if (!wanted) return;
    ++result.found;
    const auto driver = drivers.find(kind);
    if (driver == drivers.end()) {
      result.failures.push_back(name + ": unknown kind '" + kind + "'");
      return;
    }
    const Case expected = read_case(root, folder);
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

ParityResult run_cases(const fs::path& root, const std::vector<std::string>& unders,
                       const Drivers& drivers) {
  ParityResult result;
  const auto folders = find_cases(root, "");
  if (folders.empty())
    result.failures.push_back(root.string() + ": no case.json below this folder");
  for (const auto& folder : folders) run_case(root, folder, unders, drivers, result);
  return result;
}

void expect_parity(const std::vector<std::string>& unders, const Drivers& drivers) {
  const auto root = fixtures_root();
  if (!root) GTEST_SKIP() << "EXP_FIXTURES is unset";
  const auto& kinds = known_kinds();
  for (const auto& [kind, driver] : drivers) {
    if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end())
      ADD_FAILURE() << kind << " is not among known_kinds() of tests/testing/fixtures.cpp";
  }
  const ParityResult result = run_cases(*root, unders, drivers);
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
  const auto root = fixtures_root();
  if (!root) GTEST_SKIP() << "EXP_FIXTURES is unset";
  int flipped = 0;
  for (const auto& folder : find_cases(*root, "")) {
    Case c = read_case(*root, folder);
    const auto driver = drivers.find(c.kind);
    if (driver == drivers.end()) continue;
    std::vector<std::string> moved;
    for (auto& [dataset, array] : c.arrays) {
      if (dataset.rfind("output/", 0) == 0 && flip(c, dataset)) moved.push_back(dataset);
    }
    Report report(c);
    driver->second(c, report);
    for (const std::string& dataset : moved) {
      ++flipped;
      const auto names = [&](const std::string& failure) {
        return failure.rfind(dataset + ' ', 0) == 0;
      };
      EXPECT_TRUE(std::any_of(report.failures().begin(), report.failures().end(), names))
          << c.name << ": a flipped value of " << dataset << " was not noticed";
    }
  }
  std::printf("%d values flipped\n", flipped);
  EXPECT_GT(flipped, 0);
}

}  // namespace xp::testing
