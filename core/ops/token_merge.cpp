#include "core/ops/token_merge.h"

#include <algorithm>
#include <limits>
#include <vector>

namespace xp::ops {
namespace {

constexpr float kWorst = -std::numeric_limits<float>::infinity();
constexpr int64_t kLanes = 16;

struct Best {
  float score = kWorst;
  int64_t index = 0;
};

/// Highest of row[begin, end), the first of equals; NaN never wins. Lanes, so that the compiler
/// vectorises.
Best best_of(const float* row, int64_t begin, int64_t end) {
  float score[kLanes];
  int32_t index[kLanes];
  for (int64_t lane = 0; lane < kLanes; ++lane) {
    score[lane] = kWorst;
    index[lane] = static_cast<int32_t>(begin);
  }
  int64_t i = begin;
  for (; i + kLanes <= end; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      const bool better = row[i + lane] > score[lane];
      score[lane] = better ? row[i + lane] : score[lane];
      index[lane] = better ? static_cast<int32_t>(i + lane) : index[lane];
    }
  }
  Best best{kWorst, begin};
  for (int64_t lane = 0; lane < kLanes; ++lane) {
    if (score[lane] > best.score || (score[lane] == best.score && index[lane] < best.index)) {
      best = {score[lane], index[lane]};
    }
  }
  for (; i < end; ++i) {
    if (row[i] > best.score) best = {row[i], i};
  }
  return best;
}

}  // namespace

void plan_merge(const float* scores, int64_t tokens, int64_t r, bool cls, bool dist,
                const MergePlan& plan) {
  const int64_t a_count = (tokens + 1) / 2;
  const int64_t b_count = tokens / 2;

  std::vector<Best> best(static_cast<size_t>(a_count));
  std::vector<int64_t> order(static_cast<size_t>(a_count));
  for (int64_t a = 0; a < a_count; ++a) {
    order[static_cast<size_t>(a)] = a;
    if (cls && a == 0) continue;
    best[static_cast<size_t>(a)] = best_of(scores + a * b_count, dist ? 1 : 0, b_count);
  }
  std::stable_sort(order.begin(), order.end(), [&](int64_t left, int64_t right) {
    return best[static_cast<size_t>(left)].score > best[static_cast<size_t>(right)].score;
  });
  // With nothing but -inf, cls can come before a token that may merge: it goes to the end.
  if (cls) std::stable_partition(order.begin(), order.end(), [](int64_t a) { return a != 0; });

  const int64_t kept = a_count - r;
  if (cls) std::sort(order.begin() + r, order.end());
  const auto place_of_kept = [&](int64_t k) { return dist && k > 0 ? k + 1 : k; };
  const auto place_of_b = [&](int64_t b) { return dist && b == 0 ? 1 : kept + b; };

  for (int64_t b = 0; b < b_count; ++b) plan.target[2 * b + 1] = place_of_b(b);
  for (int64_t k = 0; k < a_count; ++k) {
    const int64_t a = order[static_cast<size_t>(k)];
    if (k < r) {
      const int64_t b = best[static_cast<size_t>(a)].index;
      plan.from[k] = a;
      plan.into[k] = b;
      plan.target[2 * a] = place_of_b(b);
    } else {
      plan.unmerged[k - r] = a;
      plan.target[2 * a] = place_of_kept(k - r);
    }
  }
}

}  // namespace xp::ops
