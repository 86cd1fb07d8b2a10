#include "core/train/logistic.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <functional>

#include "core/base/error.h"

namespace xp::train {
namespace {

using Vector = std::vector<double>;

double dot(const Vector& a, const Vector& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

/// Minimises a convex function from `x` in place by L-BFGS with ten pairs and backtracking (Nocedal
/// and Wright, "Numerical Optimization", algorithm 7.5). Returns the number of iterations.
int64_t lbfgs(Vector& x, const std::function<double(const Vector&, Vector&)>& function,
              int64_t iterations, double tolerance) {
  constexpr size_t kPairs = 10;
  std::deque<Vector> steps, changes;
  Vector gradient(x.size()), next_gradient(x.size());
  double value = function(x, gradient);
  for (int64_t iteration = 0; iteration < iterations; ++iteration) {
    double largest = 0;
    for (const double g : gradient) largest = std::max(largest, std::abs(g));
    if (largest < tolerance) return iteration;
    Vector direction = gradient;
    Vector alpha(steps.size());
    for (size_t i = steps.size(); i-- > 0;) {
      alpha[i] = dot(steps[i], direction) / dot(steps[i], changes[i]);
      for (size_t j = 0; j < x.size(); ++j) direction[j] -= alpha[i] * changes[i][j];
    }
    const double scale =
        steps.empty() ? 1.0 / std::max(1.0, largest)
                      : dot(steps.back(), changes.back()) / dot(changes.back(), changes.back());
    for (double& entry : direction) entry *= scale;
    for (size_t i = 0; i < steps.size(); ++i) {
      const double beta = dot(changes[i], direction) / dot(steps[i], changes[i]);
      for (size_t j = 0; j < x.size(); ++j) direction[j] += (alpha[i] - beta) * steps[i][j];
    }
    const double slope = -dot(direction, gradient);
    double length = 1;
    Vector next(x.size());
    double next_value = value;
    for (int trial = 0; trial < 30; ++trial, length /= 2) {
      for (size_t j = 0; j < x.size(); ++j) next[j] = x[j] - length * direction[j];
      next_value = function(next, next_gradient);
      if (next_value <= value + 1e-4 * length * slope) break;
    }
    if (!(next_value < value)) return iteration;
    Vector step(x.size()), change(x.size());
    for (size_t j = 0; j < x.size(); ++j) {
      step[j] = next[j] - x[j];
      change[j] = next_gradient[j] - gradient[j];
    }
    if (dot(step, change) > 1e-12) {
      steps.push_back(std::move(step));
      changes.push_back(std::move(change));
      if (steps.size() > kPairs) {
        steps.pop_front();
        changes.pop_front();
      }
    }
    x = std::move(next);
    gradient = next_gradient;
    value = next_value;
  }
  return iterations;
}

/// Loss and its gradient by the logits, in place: `z` becomes dL/dz. Mean over rows is the
/// caller's.
double softmax_loss(double* z, const double* target, int64_t k) {
  const double top = *std::max_element(z, z + k);
  double sum = 0;
  for (int64_t c = 0; c < k; ++c) sum += std::exp(z[c] - top);
  const double log_sum = top + std::log(sum);
  double loss = 0;
  for (int64_t c = 0; c < k; ++c) {
    const double log_p = z[c] - log_sum;
    loss -= target[c] * log_p;
    z[c] = std::exp(log_p) - target[c];
  }
  return loss;
}

double sigmoid_loss(double* z, const double* target, int64_t k) {
  double loss = 0;
  for (int64_t c = 0; c < k; ++c) {
    loss += std::max(z[c], 0.0) - z[c] * target[c] + std::log1p(std::exp(-std::abs(z[c])));
    z[c] = 1 / (1 + std::exp(-z[c])) - target[c];
  }
  return loss;
}

}  // namespace

std::vector<double> LogisticRegression::standardise(std::span<const float> features,
                                                    int64_t n) const {
  const auto width = static_cast<size_t>(d_ + 1);
  Vector x(static_cast<size_t>(n) * width, 1.0);  // the last column is the bias
  for (size_t i = 0; i < static_cast<size_t>(n); ++i)
    for (size_t j = 0; j + 1 < width; ++j)
      x[i * width + j] =
          (static_cast<double>(features[i * (width - 1) + j]) - mean_[j]) * scale_[j];
  return x;
}

void LogisticRegression::fit(std::span<const float> features, std::span<const float> targets,
                             int64_t n, int64_t d, int64_t k, const Options& options) {
  XP_CHECK(static_cast<int64_t>(features.size()) == n * d &&
               static_cast<int64_t>(targets.size()) == n * k,
           "logistic regression: [n, d] features and [n, k] targets");
  d_ = d;
  k_ = k;
  const auto rows = static_cast<size_t>(n);
  const auto columns = static_cast<size_t>(d);
  const auto classes = static_cast<size_t>(k);
  mean_.assign(columns, 0);
  scale_.assign(columns, 0);
  for (size_t i = 0; i < rows; ++i)
    for (size_t j = 0; j < columns; ++j)
      mean_[j] += static_cast<double>(features[i * columns + j]) / static_cast<double>(n);
  for (size_t i = 0; i < rows; ++i)
    for (size_t j = 0; j < columns; ++j) {
      const double gap = static_cast<double>(features[i * columns + j]) - mean_[j];
      scale_[j] += gap * gap / static_cast<double>(n);
    }
  for (double& variance : scale_) variance = variance > 1e-12 ? 1 / std::sqrt(variance) : 0;
  const Vector x = standardise(features, n);
  Vector y(targets.begin(), targets.end());
  if (options.multinomial) {
    for (size_t i = 0; i < rows; ++i) {
      double sum = 0;
      for (size_t c = 0; c < classes; ++c) sum += y[i * classes + c];
      for (size_t c = 0; c < classes && sum > 0; ++c) y[i * classes + c] /= sum;
    }
  }
  const size_t width = columns + 1;
  weights_.assign(classes * width, 0);
  Vector z(classes);
  const auto loss = [&](const Vector& w, Vector& gradient) {
    double total = 0;
    std::fill(gradient.begin(), gradient.end(), 0.0);
    for (size_t i = 0; i < rows; ++i) {
      const double* row = x.data() + i * width;
      for (size_t c = 0; c < classes; ++c) {
        double sum = 0;
        const double* weight = w.data() + c * width;
        for (size_t j = 0; j < width; ++j) sum += weight[j] * row[j];
        z[c] = sum;
      }
      total +=
          (options.multinomial ? softmax_loss : sigmoid_loss)(z.data(), y.data() + i * classes, k);
      for (size_t c = 0; c < classes; ++c)
        for (size_t j = 0; j < width; ++j) gradient[c * width + j] += z[c] * row[j];
    }
    const double share = 1 / static_cast<double>(n);
    total *= share;
    for (double& entry : gradient) entry *= share;
    for (size_t c = 0; c < classes; ++c)
      for (size_t j = 0; j + 1 < width; ++j) {
        const double weight = w[c * width + j];
        total += options.l2 * share * weight * weight / 2;
        gradient[c * width + j] += options.l2 * share * weight;
      }
    return total;
  };
  iterations_ = lbfgs(weights_, loss, options.iterations, options.tolerance);
}

std::vector<float> LogisticRegression::logits(std::span<const float> features, int64_t n) const {
  const Vector x = standardise(features, n);
  const auto width = static_cast<size_t>(d_ + 1);
  const auto classes = static_cast<size_t>(k_);
  std::vector<float> out(static_cast<size_t>(n) * classes);
  for (size_t i = 0; i < static_cast<size_t>(n); ++i)
    for (size_t c = 0; c < classes; ++c) {
      double sum = 0;
      for (size_t j = 0; j < width; ++j) sum += weights_[c * width + j] * x[i * width + j];
      out[i * classes + c] = static_cast<float>(sum);
    }
  return out;
}

}  // namespace xp::train
