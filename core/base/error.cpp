#include "core/base/error.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

namespace xp {

Error::Error(std::string message, Exit code) : Error(Place{}, std::move(message), code) {}

Error::Error(Place place, std::string message, Exit code)
    : std::runtime_error(render(place, message)),
      place_(std::move(place)),
      message_(std::move(message)),
      code_(code) {}

std::string render(const Place& place, std::string_view message) {
  std::string out;
  if (!place.file.empty()) {
    out += place.file;
    if (place.line > 0) out += fmt::format(":{}", place.line);
    if (place.line > 0 && place.column > 0) out += fmt::format(":{}", place.column);
    out += ": ";
  }
  out += message;
  if (place.text.empty()) return out;
  out += "\n  " + place.text;
  if (place.column > 0) {
    // Tabs stay tabs so that the caret stands under its letter whatever the terminal's tab width.
    std::string pad;
    const auto width = std::min(static_cast<size_t>(place.column - 1), place.text.size());
    for (size_t i = 0; i < width; ++i) {
      const auto byte = static_cast<unsigned char>(place.text[i]);
      const bool continuation = (byte & 0xC0U) == 0x80U;  // UTF-8: one column a character
      if (!continuation) pad += place.text[i] == '\t' ? '\t' : ' ';
    }
    out += "\n  " + pad + "^";
  }
  return out;
}

std::string did_you_mean(const std::string& near) {
  return near.empty() ? "" : fmt::format("; did you mean '{}'?", near);
}

int edit_distance(std::string_view a, std::string_view b, int limit) {
  const auto n = a.size();
  const auto m = b.size();
  if (std::max(n, m) - std::min(n, m) > static_cast<size_t>(limit)) return limit + 1;
  std::vector<std::vector<int>> d(n + 1, std::vector<int>(m + 1));
  for (size_t i = 0; i <= n; ++i) d[i][0] = static_cast<int>(i);
  for (size_t j = 0; j <= m; ++j) d[0][j] = static_cast<int>(j);
  for (size_t i = 1; i <= n; ++i) {
    for (size_t j = 1; j <= m; ++j) {
      const int substitute = d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, substitute});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
      }
    }
  }
  return d[n][m];
}

namespace detail {
void check_failed(const char* file, int line, const char* condition, const std::string& message) {
  throw std::logic_error(
      fmt::format("internal error: {} ({}:{}: '{}' does not hold). Please report this.", message,
                  file, line, condition));
}
}  // namespace detail

}  // namespace xp
