#include "data/overlap.h"

#include <algorithm>
#include <span>
#include <unordered_map>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/schema/dataset.h"

namespace xp::data {
namespace {

constexpr size_t kNamed = 3;

bool is_silent(const ShardReader& shards, uint32_t row) {
  std::vector<int16_t> pcm(static_cast<size_t>(shards.samples(row)));
  shards.read(row, pcm);
  return std::all_of(pcm.begin(), pcm.end(), [](int16_t x) { return x == 0; });
}

}  // namespace

std::vector<std::string> overlap_warnings(const ShardReader& shards,
                                          const schema::DatasetOptions& options) {
  std::unordered_map<uint64_t, uint32_t> train;
  for (const uint32_t row : rows_of_split(shards, options, "train"))
    train.emplace(shards.checksum(row), row);
  std::vector<std::string> lines;
  std::vector<uint32_t> before;
  for (const char* role : {"test", "val"}) {
    std::vector<uint32_t> rows = rows_of_split(shards, options, role);
    if (rows == before) continue;  // val = "test"
    size_t count = 0;
    std::vector<std::string> named;
    for (const uint32_t row : rows) {
      const auto same = train.find(shards.checksum(row));
      if (same == train.end() || shards.samples(same->second) != shards.samples(row) ||
          shards.scale(same->second) != shards.scale(row) || is_silent(shards, row))
        continue;
      ++count;
      if (named.size() == kNamed) continue;
      const std::string_view id = shards.id(row), as = shards.id(same->second);
      named.push_back(id == as ? std::string(id) : fmt::format("{} = {}", id, as));
    }
    if (count > 0) {
      lines.push_back(fmt::format(
          "{} of {} {} clips are in train too, sample for sample ({}{}): what is learned by heart "
          "counts as right",
          count, rows.size(), role, fmt::join(named, ", "), count > named.size() ? ", .." : ""));
    }
    before = std::move(rows);
  }
  return lines;
}

}  // namespace xp::data
