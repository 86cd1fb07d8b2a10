#include "core/train/passes.h"

#include <algorithm>

#include "core/base/error.h"
#include "core/schema/norm_group.h"

namespace xp::train {
namespace {

/// Where the share of `rank` begins in the batch, as the loader shares it.
int64_t share_begin(const PassOptions& o, int rank) { return o.clips * rank / o.world; }

std::vector<ClipRange> chunks(int64_t clips, int64_t size) {
  std::vector<ClipRange> out;
  for (int64_t first = 0; first < clips; first += size)
    out.push_back({first, std::min(size, clips - first)});
  if (out.empty()) out.push_back({});
  return out;
}

/// The pass that each rank fills, and how many clips are in it.
struct Filling {
  int64_t pass = 0;
  int64_t clips = 0;
  int64_t in(int64_t number) const { return number == pass ? clips : 0; }
};

}  // namespace

std::vector<ClipRange> passes(const PassOptions& o) {
  const int64_t begin = share_begin(o, o.rank);
  const int64_t own = share_begin(o, o.rank + 1) - begin;
  if (o.micro_batch <= 0) return {{0, own}};
  if (o.norm_group <= 0) return chunks(own, o.micro_batch);

  // Group by group into the first pass that has room on each of its ranks, none before those that
  // its ranks have begun: so the clips of a pass stand one after the other.
  std::vector<Filling> ranks(static_cast<size_t>(o.world));
  std::vector<int64_t> counts;
  for (int64_t from = 0; from < o.clips; from += o.norm_group) {
    const int64_t to = std::min(from + o.norm_group, o.clips);
    const auto part = [&](int rank) {
      return std::min(to, share_begin(o, rank + 1)) - std::max(from, share_begin(o, rank));
    };
    int64_t pass = 0;
    for (int rank = 0; rank < o.world; ++rank)
      if (part(rank) > 0) pass = std::max(pass, ranks[static_cast<size_t>(rank)].pass);
    bool room = true;
    for (int rank = 0; rank < o.world; ++rank) {
      if (part(rank) > o.micro_batch)
        throw Error(schema::split_group_text(o.micro_batch, to - from));
      const Filling& filling = ranks[static_cast<size_t>(rank)];
      room = room && (part(rank) <= 0 || filling.in(pass) + part(rank) <= o.micro_batch);
    }
    if (!room) ++pass;
    for (int rank = 0; rank < o.world; ++rank) {
      if (part(rank) <= 0) continue;
      Filling& filling = ranks[static_cast<size_t>(rank)];
      filling = {pass, filling.in(pass) + part(rank)};
    }
    if (counts.size() <= static_cast<size_t>(pass)) counts.resize(static_cast<size_t>(pass) + 1);
    counts[static_cast<size_t>(pass)] += std::max<int64_t>(0, part(o.rank));
  }
  std::vector<ClipRange> out;
  int64_t first = 0;
  for (const int64_t count : counts) {
    out.push_back({first, count});
    first += count;
  }
  return out;
}

}  // namespace xp::train
