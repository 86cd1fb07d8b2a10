// Every file variant of one state dict loads to the same values.
#include <bit>
#include <cmath>
#include <cstring>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/checkpoint/archive.h"
#include "tests/testing/fixtures.h"

namespace xp::checkpoint {
namespace {

float half_to_float(uint16_t bits) {
  const int exponent = bits >> 10 & 31;
  const int fraction = bits & 1023;
  const float magnitude = exponent == 0
                              ? std::ldexp(static_cast<float>(fraction), -24)
                              : std::ldexp(static_cast<float>(1024 + fraction), exponent - 25);
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

template <class T>
T at(const Entry& e, int64_t i) {
  T value;
  std::memcpy(&value, e.bytes.data() + static_cast<size_t>(i) * sizeof value, sizeof value);
  return value;
}

std::vector<float> floats(const Entry& e) {
  std::vector<float> out;
  for (int64_t i = 0; i < e.numel(); ++i) {
    switch (e.dtype) {
      case Dtype::kF32:
        out.push_back(at<float>(e, i));
        break;
      case Dtype::kF16:
        out.push_back(half_to_float(at<uint16_t>(e, i)));
        break;
      case Dtype::kBf16:
        out.push_back(std::bit_cast<float>(uint32_t{at<uint16_t>(e, i)} << 16));
        break;
      default:
        throw std::runtime_error("not a float tensor: " + e.name);
    }
  }
  return out;
}

/// Name in a file -> name in the case.
std::string stripped(const std::string& name) {
  for (const std::string_view prefix : {"module.", "model.", "state_dict.net.", "optimizer."}) {
    if (name.compare(0, prefix.size(), prefix) == 0)
      return prefix == "optimizer." ? "" : name.substr(prefix.size());
  }
  return name;
}

/// The error names the file.
void expect_refused(const std::filesystem::path& file, testing::Report& report) {
  try {
    (void)Archive::open(file);
    report.fail(file.filename().string() + ": loads");
  } catch (const Error& error) {
    const std::string text = error.what();
    report.compare_value(file.filename().string() + ": named",
                         text.find(file.filename().string()) != text.npos ? 1 : 0, 1);
  }
}

void compare(const testing::Case& c, testing::Report& report) {
  bool any_loads = false;
  for (const auto& [file, about] : c.json.at("files").items()) {
    if (about.is_object() && about.at("expect") == "refused") {
      expect_refused(c.folder / file, report);
      continue;
    }
    if (about.is_object() && about.at("expect") != "loads")
      report.fail(file + ": unknown expectation " + about.at("expect").dump());
    any_loads = true;
    const Archive archive = Archive::open(c.folder / file);
    const bool half = file.find("half") != file.npos;
    const std::string group = half                              ? "output/half/"
                              : file.find("views") != file.npos ? "output/views/"
                                                                : "output/";
    int used = 0;
    for (const Entry& e : archive.entries()) {
      const std::string name = stripped(e.name);
      if (name.empty()) continue;
      const std::string dataset = group + name;
      if (!c.has(dataset)) {
        report.fail(file + ": holds '" + e.name + "', which the case does not expect");
        continue;
      }
      ++used;
      if (e.shape != c.at(dataset).shape) report.fail(file + ": another shape of " + e.name);
      if (e.dtype == Dtype::kI64) {
        std::vector<int64_t> got;
        for (int64_t i = 0; i < e.numel(); ++i) got.push_back(at<int64_t>(e, i));
        report.compare(dataset, got);
      } else {
        report.compare(dataset, floats(e));
      }
    }
    int wanted = 0;
    for (const auto& [dataset, array] : c.arrays) {
      const bool in_group = dataset.compare(0, group.size(), group) == 0;
      // nn.Parameter objects are what is trained: running statistics are no part of such a file.
      const bool statistic =
          dataset.find("running_") != dataset.npos || dataset.find("num_batches") != dataset.npos;
      if (statistic && file.find("parameters") != file.npos) continue;
      if (in_group && dataset.find('/', group.size()) == dataset.npos) ++wanted;
    }
    report.compare_value(file + ": tensors", used, wanted);
  }
  if (any_loads) return;
  for (const auto& [dataset, array] : c.arrays)
    if (dataset.compare(0, 7, "output/") == 0) report.elsewhere(dataset, "no file loads");
}

TEST(CheckpointFormatsParity, EveryVariantLoadsToTheSameValues) {
  testing::expect_parity({"model/checkpoint_formats"}, {{"model/checkpoint_formats", compare}});
}

}  // namespace
}  // namespace xp::checkpoint
