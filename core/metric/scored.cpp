#include "core/metric/scored.h"

#include "core/metric/interval.h"

namespace xp::metric {
namespace {

template <class T, class Make>
const T& made(std::optional<T>& kept, const Make& make) {
  if (!kept) kept.emplace(make());
  return *kept;
}

}  // namespace

const RankedTable& Scored::ranked() const {
  return made(ranked_, [&] { return RankedTable(table_); });
}

const std::vector<ClassScore>& Scored::per_class() const {
  return made(per_class_, [&] { return ranked().per_class(); });
}

const Summary& Scored::summary() const {
  return made(summary_, [&] { return summarise(per_class()); });
}

const std::vector<float>& Scored::correct() const {
  return made(correct_, [&] { return metric::correct(table_); });
}

double mean_average_precision(const Scored& scored, Counts counts) {
  return counts.empty() ? scored.summary().map : scored.ranked().map(counts);
}

double mean_average_precision_of_all(const Scored& scored, Counts /*counts*/) {
  return scored.summary().map_all;
}

double classes_with_both_kinds(const Scored& scored, Counts /*counts*/) {
  return static_cast<double>(scored.summary().map_classes);
}

double mean_auc(const Scored& scored, Counts counts) {
  return counts.empty() ? scored.summary().auc : scored.ranked().auc(counts);
}

double d_prime_of_mean_auc(const Scored& scored, Counts /*counts*/) {
  return scored.summary().d_prime;
}

double share_of_right_clips(const Scored& scored, Counts counts) {
  return counts.empty() ? accuracy(scored.table()) : mean_of(scored.correct())(counts);
}

}  // namespace xp::metric
