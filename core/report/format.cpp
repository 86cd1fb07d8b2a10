#include <array>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/report/render.h"

namespace xp::report {
namespace {

constexpr std::array<std::string_view, 7> kFormats = {"table", "md",    "html", "csv",
                                                      "json",  "latex", "svg"};

}  // namespace

Format format_of(std::string_view name) {
  for (size_t i = 0; i < kFormats.size(); ++i) {
    if (kFormats[i] == name) return static_cast<Format>(i);
  }
  const std::string guess = nearest(name, kFormats);
  throw Error(fmt::format("no format '{}'{}; there are table, md, html, csv, json, latex, svg",
                          name, did_you_mean(guess)));
}

}  // namespace xp::report
