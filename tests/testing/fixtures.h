#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tests/testing/settings.h"

namespace xp::testing {

/// A dataset of a case.h5, row-major. Exactly one of the three vectors is filled: float32, float64,
/// or int64 (for every integer type of the file).
struct Array {
  std::vector<int64_t> shape;  ///< empty = a scalar
  std::vector<float> f32;
  std::vector<double> f64;
  std::vector<int64_t> i64;

  int64_t size() const;
  bool is_integer() const { return !i64.empty(); }
  /// The values as doubles, whatever the type.
  std::vector<double> values() const;
  /// The values as float; throws std::runtime_error for integers.
  std::vector<float> floats() const;
  /// The only value of a scalar or one-element array.
  double scalar() const;
};

/// |a-b| <= abs + rel * |b| passes; NaN passes against NaN alone, an infinity against the same
/// infinity.
struct Tolerance {
  double abs = 0;
  double rel = 0;
};

/// One folder of the fixtures.
struct Case {
  std::filesystem::path folder;
  std::string name;                     ///< as CaseFolder has it
  std::string kind;                     ///< what the case exercises, "frontend/kaldi_fbank"
  Settings json;                        ///< case.json
  Settings arguments;                   ///< its "arguments": those of the original's constructor
  std::map<std::string, Array> arrays;  ///< "input/waveform", "output/fbank", ...; groups may nest

  /// Throws std::runtime_error naming the case and the dataset when it is absent.
  const Array& at(const std::string& dataset) const;
  bool has(const std::string& dataset) const { return arrays.count(dataset) != 0; }
  /// `tolerance.outputs.NAME` (NAME without "output/", whole or its last part), else
  /// `tolerance.default`.
  Tolerance tolerance(const std::string& dataset) const;
};

/// The folders of $EXP_FIXTURES, which divides them by ':'; empty when it is unset or names none.
std::vector<std::filesystem::path> fixtures_roots();
std::vector<std::filesystem::path> split_roots(std::string_view listed);

/// Where a case is, and what it is called: its path below the root ("frontend/kaldi_fbank/esc_a"),
/// with the root in front where another root has a case of that name.
struct CaseFolder {
  std::filesystem::path folder;
  std::string name;
};

/// Every folder at or below the roots that holds a case.json, root by root, sorted.
std::vector<CaseFolder> find_cases(const std::vector<std::filesystem::path>& roots);

/// The cases of one kind.
std::vector<Case> cases_of_kind(const std::string& kind,
                                const std::vector<std::filesystem::path>& roots = fixtures_roots());

/// A file by its path below one of the roots; nullopt where none has it.
std::optional<std::filesystem::path> fixture(
    const std::string& below, const std::vector<std::filesystem::path>& roots = fixtures_roots());

/// Reads case.json and case.h5. Throws std::runtime_error naming the file and what is wrong.
Case read_case(const CaseFolder& found);

/// The datasets of an HDF5 file by path ("input/x").
std::map<std::string, Array> read_h5(const std::filesystem::path& file);

/// Adds `delta` to one value of a dataset in place: to show that a comparison notices.
void shift_value(const std::filesystem::path& file, const std::string& dataset, int64_t index,
                 double delta);

/// What a driver found out about one case. Every dataset of `output/` must be compared, or be
/// declared with `elsewhere`; one that was forgotten is a failure. So is an option among the case's
/// `arguments` that the driver never asked for.
class Report {
 public:
  explicit Report(const Case& expected) : case_(expected) {}

  /// Compares `got` with the dataset, within the case's tolerance (integers exactly). A wrong
  /// element count is a failure. `tolerance` replaces the case's own.
  void compare(const std::string& dataset, std::span<const float> got,
               std::optional<Tolerance> tolerance = {});
  void compare(const std::string& dataset, std::span<const double> got,
               std::optional<Tolerance> tolerance = {});
  void compare(const std::string& dataset, std::span<const int64_t> got);
  /// A value of case.json (a count, a formula's result).
  void compare_value(const std::string& what, double got, double want, Tolerance tolerance = {});
  void compare_text(const std::string& what, std::string_view got, std::string_view want);
  /// `dataset` is compared by the tests of another folder ("core/train").
  void elsewhere(const std::string& dataset, std::string_view folder);
  /// The model is one that the product refuses, with `message`, which has to hold each of `names`:
  /// no output is expected.
  void refused(std::string_view message, const std::vector<std::string>& names);
  /// For a kind whose case.json itself lists the options: a key that the driver never asked for is
  /// a failure too. Texts of more than one word and what describes the case (seed, note, rule, ..)
  /// are none, nor is any of `facts`.
  void every_setting(const std::vector<std::string>& facts = {});
  void fail(std::string message);

  /// Adds a failure for each `output/` dataset that was neither compared nor declared, and for each
  /// option that nobody asked for. Called by run_cases.
  void finish();
  bool was_compared(const std::string& dataset) const { return compared_with_.count(dataset) != 0; }
  const std::vector<std::string>& failures() const { return failures_; }
  /// "worst |error| 3.1e-05 (2% of the tolerance) in output/fbank, 7 arrays".
  std::string summary() const;

 private:
  void compare_all(const std::string& dataset, const std::vector<double>& got,
                   std::optional<Tolerance> tolerance);
  void note(const std::string& dataset, double error, double share);

  const Case& case_;
  std::set<std::string> seen_;           // compared or declared
  std::set<std::string> compared_with_;  // compared
  std::optional<std::set<std::string>> facts_;
  std::vector<std::string> failures_;
  int compared_ = 0;
  double worst_error_ = 0;
  double worst_share_ = 0;
  std::string worst_dataset_;
};

/// Compares one case. Exceptions out of it are failures of that case.
using Driver = std::function<void(const Case&, Report&)>;
using Drivers = std::map<std::string, Driver>;  // by kind

struct ParityResult {
  int found = 0;
  int compared = 0;
  std::vector<std::string> failures;  ///< "CASE: what differs"
  std::vector<std::string> lines;     ///< one a case: its worst error
};

/// Every kind that some test compares. A case of another kind anywhere is a failure of
/// tests/base/fixtures_test.cpp.
const std::vector<std::string>& known_kinds();

/// For each of `unders` ("model/ast", "frontend") runs the cases whose kind is it or begins with
/// it, wherever they are, through the driver of their kind. A kind without a driver is a failure,
/// and so is a root without any case.
ParityResult run_cases(const std::vector<std::filesystem::path>& roots,
                       const std::vector<std::string>& unders, const Drivers& drivers);

/// The body of a parity test: run_cases on $EXP_FIXTURES, prints each case's worst error and the
/// line "N found, N compared", fails for each failure. Skips when EXP_FIXTURES is unset. `drivers`
/// must be among known_kinds().
void expect_parity(const std::vector<std::string>& unders, const Drivers& drivers);

/// Moves one value of each `output/` array of each case of the drivers' kinds beyond its tolerance,
/// and fails for each array that the driver compares and does not notice. Skips when EXP_FIXTURES
/// is unset or has no such case.
void expect_flips_noticed(const Drivers& drivers);

}  // namespace xp::testing
