#include "core/recipe/source.h"

#include <algorithm>
#include <tuple>

#include <fmt/format.h>

namespace xp::recipe {

int Sources::add(Source source) {
  sources_.push_back(std::move(source));
  return size() - 1;
}

Place Sources::place(const Spot& spot) const {
  if (spot.source < 0) return {};
  const Source& source = at(spot.source);
  Place place{source.name, spot.line, spot.column, {}};
  std::size_t begin = 0;
  for (int line = 1; line < spot.line && begin != std::string::npos; ++line) {
    begin = source.text.find('\n', begin);
    if (begin != std::string::npos) ++begin;
  }
  if (spot.line < 1 || begin == std::string::npos || begin >= source.text.size()) return place;
  const std::size_t end = std::min(source.text.find('\n', begin), source.text.size());
  constexpr std::size_t kWidest = 400;  // a longer line would bury the message
  if (end - begin > kWidest) return place;
  place.text = source.text.substr(begin, end - begin);
  if (!place.text.empty() && place.text.back() == '\r') place.text.pop_back();
  return place;
}

void Faults::add(const Spot& spot, std::string message) {
  ++told_;
  if (full()) return;
  for (const Item& item : items_) {
    const bool same_place = item.spot.source == spot.source && item.spot.line == spot.line &&
                            item.spot.column == spot.column;
    if (same_place && item.message == message) return;
  }
  items_.push_back({spot, std::move(message)});
}

std::vector<RecipeError::Fault> Faults::sorted() const {
  std::vector<Item> items = items_;
  std::stable_sort(items.begin(), items.end(), [](const Item& a, const Item& b) {
    return std::tie(a.spot.source, a.spot.line, a.spot.column) <
           std::tie(b.spot.source, b.spot.line, b.spot.column);
  });
  std::vector<RecipeError::Fault> out;
  for (Item& item : items) out.push_back({sources_.place(item.spot), std::move(item.message)});
  if (full()) out.push_back({{}, fmt::format("{} faults; there may be more", kMost)});
  return out;
}

}  // namespace xp::recipe
