#include "data/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/rng.h"
#include "core/schema/sampler.h"

namespace xp::data {
namespace {

constexpr const char* kPurpose = "epoch_order";

/// Walker's alias method, built as by Vose (1991): one uniform number draws from n weights in
/// constant time.
class AliasTable {
 public:
  explicit AliasTable(const std::vector<double>& weights)
      : keep_(weights.size()), alias_(weights.size()) {
    const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
    XP_CHECK(total > 0, "weights sum to zero");
    const auto n = static_cast<double>(weights.size());
    std::vector<double> scaled(weights.size());
    std::vector<uint32_t> small;
    std::vector<uint32_t> large;
    for (size_t i = 0; i < weights.size(); ++i) {
      scaled[i] = weights[i] * n / total;
      (scaled[i] < 1 ? small : large).push_back(static_cast<uint32_t>(i));
    }
    while (!small.empty() && !large.empty()) {
      const uint32_t less = small.back();
      const uint32_t more = large.back();
      small.pop_back();
      keep_[less] = static_cast<float>(scaled[less]);
      alias_[less] = more;
      scaled[more] -= 1 - scaled[less];
      if (scaled[more] < 1) {
        large.pop_back();
        small.push_back(more);
      }
    }
    // What is left differs from 1 by rounding alone.
    for (const auto& rest : {small, large}) {
      for (const uint32_t i : rest) {
        keep_[i] = 1.0F;
        alias_[i] = i;
      }
    }
  }

  uint32_t draw(Rng& rng) const {
    const auto i = static_cast<uint32_t>(rng.below(keep_.size()));
    return rng.uniform() < static_cast<double>(keep_[i]) ? i : alias_[i];
  }

 private:
  std::vector<float> keep_;
  std::vector<uint32_t> alias_;
};

/// Clips by class, for class_balanced: of classes that have any.
struct ByClass {
  std::vector<uint64_t> start = {0};
  std::vector<uint32_t> clip;

  uint32_t draw(Rng& rng) const {
    const auto k = static_cast<size_t>(rng.below(start.size() - 1));
    return clip[start[k] + rng.below(start[k + 1] - start[k])];
  }
};

ByClass by_class(const LabelTable& labels, std::span<const uint32_t> rows) {
  const std::vector<int64_t> counts = class_counts(labels, rows);
  ByClass table;
  std::vector<uint64_t> at(counts.size());
  for (size_t k = 0; k < counts.size(); ++k) {
    at[k] = table.start.back();
    if (counts[k] > 0) table.start.push_back(table.start.back() + static_cast<uint64_t>(counts[k]));
  }
  table.clip.resize(table.start.back());
  for (size_t i = 0; i < rows.size(); ++i) {
    for (const int32_t k : labels.of(rows[i]))
      table.clip[at[static_cast<size_t>(k)]++] = static_cast<uint32_t>(i);
  }
  if (table.clip.empty()) throw Error("sampler class_balanced: no clip has a label", Exit::kData);
  return table;
}

double weight_of(const LabelTable& labels, uint32_t row, const std::vector<double>& class_weight,
                 bool use_max) {
  double weight = 0;
  for (const int32_t k : labels.of(row)) {
    const double w = class_weight[static_cast<size_t>(k)];
    weight = use_max ? std::max(weight, w) : weight + w;
  }
  return weight;
}

std::vector<double> class_weights(const LabelTable& labels, std::span<const uint32_t> rows,
                                  double count_offset) {
  std::vector<double> weights;
  for (const int64_t count : class_counts(labels, rows))
    weights.push_back(1000.0 / (static_cast<double>(count) + count_offset));
  return weights;
}

}  // namespace

struct EpochOrder::Impl {
  schema::SamplerKind kind = schema::SamplerKind::kSequential;
  int64_t size = 0;
  uint64_t rows = 0;
  uint64_t seed = 0;
  uint64_t epoch = 0;
  std::vector<uint32_t> list;  ///< shuffle, importance
  std::shared_ptr<const AliasTable> alias;
  std::shared_ptr<const ByClass> by_class;
};

EpochOrder::EpochOrder(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
int64_t EpochOrder::size() const { return impl_->size; }

int64_t EpochOrder::at(int64_t position) const {
  XP_CHECK(position >= 0 && position < impl_->size,
           fmt::format("position {} of {}", position, impl_->size));
  const auto at = static_cast<uint64_t>(position);
  switch (impl_->kind) {
    case schema::SamplerKind::kSequential:
      return static_cast<int64_t>(at % impl_->rows);
    case schema::SamplerKind::kShuffle:
    case schema::SamplerKind::kImportance:
      return impl_->list[at];
    case schema::SamplerKind::kAstBalanced: {
      Rng rng(impl_->seed, kPurpose, impl_->epoch, at);
      return impl_->alias->draw(rng);
    }
    case schema::SamplerKind::kClassBalanced: {
      Rng rng(impl_->seed, kPurpose, impl_->epoch, at);
      return impl_->by_class->draw(rng);
    }
  }
  XP_CHECK(false, "unknown sampler");
  return 0;
}

struct Sampler::Impl {
  schema::SamplerOptions options;
  LabelTable labels;
  std::span<const uint32_t> rows;
  uint64_t seed;
  int64_t draws;
  std::vector<double> class_weight;  ///< importance
  std::shared_ptr<const AliasTable> alias;
  std::shared_ptr<const ByClass> by_class;

  std::vector<uint32_t> shuffled(uint64_t epoch) const;
  std::vector<uint32_t> importance(uint64_t epoch) const;
};

Sampler::Sampler(const schema::SamplerOptions& options, const LabelTable& labels,
                 std::span<const uint32_t> rows, uint64_t seed)
    : impl_(std::make_unique<Impl>()) {
  if (rows.empty()) throw Error("there is no clip to draw from: the split is empty", Exit::kData);
  impl_->options = options;
  impl_->labels = labels;
  impl_->rows = rows;
  impl_->seed = seed;
  const auto count = static_cast<int64_t>(rows.size());
  impl_->draws = options.draws > 0 ? options.draws : count;
  const bool use_max = options.weight == schema::LabelWeight::kMax;
  if (options.kind == schema::SamplerKind::kAstBalanced) {
    const auto weights = sample_weights(labels, rows, options.count_offset, use_max);
    if (std::accumulate(weights.begin(), weights.end(), 0.0) <= 0)
      throw Error("sampler ast_balanced: no clip has a label", Exit::kData);
    impl_->alias = std::make_shared<const AliasTable>(weights);
  } else if (options.kind == schema::SamplerKind::kImportance) {
    impl_->draws = std::min(impl_->draws, count);
    impl_->class_weight = class_weights(labels, rows, options.count_offset);
  } else if (options.kind == schema::SamplerKind::kClassBalanced) {
    impl_->by_class = std::make_shared<const ByClass>(by_class(labels, rows));
  }
}

Sampler::~Sampler() = default;
Sampler::Sampler(Sampler&&) noexcept = default;
int64_t Sampler::draws() const { return impl_->draws; }

/// Fisher and Yates; draws beyond the set are those of further permutations.
std::vector<uint32_t> Sampler::Impl::shuffled(uint64_t epoch) const {
  const uint64_t n = rows.size();
  std::vector<uint32_t> list;
  list.reserve(static_cast<size_t>(draws));
  std::vector<uint32_t> permutation(n);
  for (uint64_t round = 0; list.size() < static_cast<size_t>(draws); ++round) {
    Rng rng(seed, kPurpose, epoch, round);
    std::iota(permutation.begin(), permutation.end(), 0U);
    for (uint64_t i = n - 1; i > 0; --i) std::swap(permutation[i], permutation[rng.below(i + 1)]);
    const auto wanted = std::min<size_t>(n, static_cast<size_t>(draws) - list.size());
    if (list.empty() && wanted == n && static_cast<size_t>(draws) == n) return permutation;
    list.insert(list.end(), permutation.begin(),
                permutation.begin() + static_cast<std::ptrdiff_t>(wanted));
  }
  return list;
}

/// Efraimidis and Spirakis (2006): the m smallest of Exp(1) / w, ascending, are m successive draws
/// without replacement. It is what torch.multinomial computes too.
std::vector<uint32_t> Sampler::Impl::importance(uint64_t epoch) const {
  struct Key {
    float time;
    uint32_t clip;
    bool operator<(const Key& other) const {
      return time != other.time ? time < other.time : clip < other.clip;
    }
  };
  const bool use_max = options.weight == schema::LabelWeight::kMax;
  std::vector<Key> keys(rows.size());
  Rng rng(seed, kPurpose, epoch, 0);
  for (size_t i = 0; i < rows.size(); ++i) {
    const double exponential = -std::log(1.0 - rng.uniform());
    // A clip without labels has weight 0: it comes after all that have one.
    const double weight = weight_of(labels, rows[i], class_weight, use_max);
    keys[i] = {weight > 0 ? static_cast<float>(exponential / weight) : INFINITY,
               static_cast<uint32_t>(i)};
  }
  const auto end = keys.begin() + draws;
  std::partial_sort(keys.begin(), end, keys.end());
  std::vector<uint32_t> list(static_cast<size_t>(draws));
  std::transform(keys.begin(), end, list.begin(), [](const Key& key) { return key.clip; });
  return list;
}

EpochOrder Sampler::epoch(int64_t epoch) const {
  auto order = std::make_shared<EpochOrder::Impl>();
  order->kind = impl_->options.kind;
  order->size = impl_->draws;
  order->rows = impl_->rows.size();
  order->seed = impl_->seed;
  order->epoch = static_cast<uint64_t>(epoch);
  order->alias = impl_->alias;
  order->by_class = impl_->by_class;
  if (order->kind == schema::SamplerKind::kShuffle) order->list = impl_->shuffled(order->epoch);
  if (order->kind == schema::SamplerKind::kImportance)
    order->list = impl_->importance(order->epoch);
  return EpochOrder(std::move(order));
}

std::vector<int64_t> class_counts(const LabelTable& labels, std::span<const uint32_t> rows) {
  std::vector<int64_t> counts(static_cast<size_t>(labels.classes), 0);
  for (const uint32_t row : rows) {
    for (const int32_t k : labels.of(row)) ++counts[static_cast<size_t>(k)];
  }
  return counts;
}

std::vector<double> sample_weights(const LabelTable& labels, std::span<const uint32_t> rows,
                                   double count_offset, bool use_max) {
  const std::vector<double> class_weight = class_weights(labels, rows, count_offset);
  std::vector<double> weights;
  weights.reserve(rows.size());
  for (const uint32_t row : rows) weights.push_back(weight_of(labels, row, class_weight, use_max));
  return weights;
}

}  // namespace xp::data
