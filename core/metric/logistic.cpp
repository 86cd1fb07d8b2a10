#include "core/metric/logistic.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <numeric>

#include "core/base/error.h"

namespace xp::metric {
namespace {

using Vector = std::vector<double>;

double dot(const Vector& a, const Vector& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

/// Loss and its derivative by the logits, in place: `z` becomes (prediction - target) / N.
double loss_of(Vector& z, std::span<const float> targets, int64_t rows, int64_t classes,
               Link link) {
  double loss = 0;
  const double share = 1.0 / static_cast<double>(rows);
  for (int64_t i = 0; i < rows; ++i) {
    double* row = z.data() + i * classes;
    const float* target = targets.data() + i * classes;
    if (link == Link::kSoftmax) {
      const double largest = *std::max_element(row, row + classes);
      double sum = 0;
      for (int64_t k = 0; k < classes; ++k) sum += std::exp(row[k] - largest);
      const double log_sum = largest + std::log(sum);
      for (int64_t k = 0; k < classes; ++k) {
        loss -= share * target[k] * (row[k] - log_sum);
        row[k] = share * (std::exp(row[k] - log_sum) - target[k]);
      }
    } else {
      for (int64_t k = 0; k < classes; ++k) {
        // log(1 + e^z) - y z without overflow
        loss += share * (std::max(row[k], 0.0) + std::log1p(std::exp(-std::abs(row[k]))) -
                         target[k] * row[k]);
        row[k] = share * (1.0 / (1.0 + std::exp(-row[k])) - target[k]);
      }
    }
  }
  return loss;
}

/// The penalised objective over [(D + 1), K] weights.
struct Objective {
  const Vector& x;  ///< [N, D + 1], last column 1
  std::span<const float> targets;
  int64_t rows, columns, classes;
  Link link;
  double penalty;

  double operator()(const Vector& weights, Vector& gradient) const {
    Vector z(static_cast<size_t>(rows * classes), 0.0);
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t d = 0; d < columns; ++d) {
        const double value = x[i * columns + d];
        for (int64_t k = 0; k < classes; ++k)
          z[i * classes + k] += value * weights[d * classes + k];
      }
    }
    double loss = loss_of(z, targets, rows, classes, link);
    std::fill(gradient.begin(), gradient.end(), 0.0);
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t d = 0; d < columns; ++d) {
        const double value = x[i * columns + d];
        for (int64_t k = 0; k < classes; ++k)
          gradient[d * classes + k] += value * z[i * classes + k];
      }
    }
    const double strength = penalty / static_cast<double>(rows);
    for (int64_t j = 0; j < (columns - 1) * classes; ++j) {
      loss += 0.5 * strength * weights[j] * weights[j];
      gradient[j] += strength * weights[j];
    }
    return loss;
  }
};

struct Pair {
  Vector step, change;
  double inverse = 0;
};

/// The quasi-Newton direction -H g by the two-loop recursion.
Vector direction_of(const Vector& gradient, const std::deque<Pair>& history) {
  Vector q(gradient.size());
  std::transform(gradient.begin(), gradient.end(), q.begin(), [](double g) { return -g; });
  Vector alpha(history.size());
  for (size_t i = history.size(); i-- > 0;) {
    alpha[i] = history[i].inverse * dot(history[i].step, q);
    for (size_t j = 0; j < q.size(); ++j) q[j] -= alpha[i] * history[i].change[j];
  }
  if (!history.empty()) {
    const Pair& last = history.back();
    const double scale = dot(last.step, last.change) / dot(last.change, last.change);
    for (double& value : q) value *= scale;
  }
  for (size_t i = 0; i < history.size(); ++i) {
    const double beta = history[i].inverse * dot(history[i].change, q);
    for (size_t j = 0; j < q.size(); ++j) q[j] += (alpha[i] - beta) * history[i].step[j];
  }
  return q;
}

constexpr int kMaxIterations = 500;
constexpr size_t kHistory = 10;
constexpr double kGradientTolerance = 1e-6;

int minimise(const Objective& objective, Vector& weights, const std::function<void()>& check) {
  Vector gradient(weights.size());
  double value = objective(weights, gradient);
  std::deque<Pair> history;
  for (int iteration = 0; iteration < kMaxIterations; ++iteration) {
    check();
    const double largest =
        std::abs(*std::max_element(gradient.begin(), gradient.end(),
                                   [](double a, double b) { return std::abs(a) < std::abs(b); }));
    if (largest < kGradientTolerance) return iteration;
    const Vector direction = direction_of(gradient, history);
    const double slope = dot(direction, gradient);
    double length = 1;
    Vector next(weights.size());
    Vector next_gradient(weights.size());
    double next_value = value;
    for (int halving = 0; halving < 40; ++halving, length *= 0.5) {
      for (size_t j = 0; j < next.size(); ++j) next[j] = weights[j] + length * direction[j];
      next_value = objective(next, next_gradient);
      if (next_value <= value + 1e-4 * length * slope) break;
    }
    if (next_value >= value) return iteration;  // the last digit is reached
    Pair pair{Vector(weights.size()), Vector(weights.size()), 0};
    for (size_t j = 0; j < next.size(); ++j) {
      pair.step[j] = next[j] - weights[j];
      pair.change[j] = next_gradient[j] - gradient[j];
    }
    const double curvature = dot(pair.step, pair.change);
    if (curvature > 0) {
      pair.inverse = 1 / curvature;
      history.push_back(std::move(pair));
      if (history.size() > kHistory) history.pop_front();
    }
    weights = std::move(next);
    gradient = std::move(next_gradient);
    value = next_value;
  }
  return kMaxIterations;
}

}  // namespace

LogisticRegression::LogisticRegression(std::span<const float> features,
                                       std::span<const float> targets, int64_t rows,
                                       int64_t classes, Link link, double penalty,
                                       const std::function<void()>& check)
    : classes_(classes) {
  XP_CHECK(rows >= 1 && classes >= 1 && targets.size() == static_cast<size_t>(rows * classes) &&
               features.size() % static_cast<size_t>(rows) == 0 && !features.empty(),
           "logistic regression: shapes");
  for (const float value : features) {
    if (!std::isfinite(value))
      throw Error("logistic regression: a feature is not a finite number", Exit::kFailed);
  }
  inputs_ = static_cast<int64_t>(features.size()) / rows;
  mean_.assign(inputs_, 0);
  scale_.assign(inputs_, 0);
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t d = 0; d < inputs_; ++d)
      mean_[d] += features[i * inputs_ + d] / static_cast<double>(rows);
  }
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t d = 0; d < inputs_; ++d) {
      const double off = features[i * inputs_ + d] - mean_[d];
      scale_[d] += off * off / static_cast<double>(rows);
    }
  }
  for (double& scale : scale_) scale = scale > 1e-12 ? 1 / std::sqrt(scale) : 0;
  weights_.assign((inputs_ + 1) * classes, 0);
  const Vector x = standardise(features, rows);
  iterations_ = minimise({x, targets, rows, inputs_ + 1, classes, link, penalty}, weights_, check);
}

std::vector<double> LogisticRegression::standardise(std::span<const float> features,
                                                    int64_t rows) const {
  Vector x(rows * (inputs_ + 1), 1.0);
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t d = 0; d < inputs_; ++d) {
      x[i * (inputs_ + 1) + d] = (features[i * inputs_ + d] - mean_[d]) * scale_[d];
    }
  }
  return x;
}

std::vector<float> LogisticRegression::scores(std::span<const float> features, int64_t rows) const {
  XP_CHECK(features.size() == static_cast<size_t>(rows * inputs_),
           "logistic regression: features of another size");
  const Vector x = standardise(features, rows);
  std::vector<float> out(rows * classes_);
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t k = 0; k < classes_; ++k) {
      double sum = 0;
      for (int64_t d = 0; d <= inputs_; ++d)
        sum += x[i * (inputs_ + 1) + d] * weights_[d * classes_ + k];
      out[i * classes_ + k] = static_cast<float>(sum);
    }
  }
  return out;
}

}  // namespace xp::metric
