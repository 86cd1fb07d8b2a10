#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/model/init.h"
#include "core/model/module.h"
#include "core/model/patchout.h"
#include "core/model/tokens.h"

namespace xp::model {

/// y = x W^T + b, computed in the type of the weights (under autocast in autocast's).
class Linear : public Module {
 public:
  Linear() = default;
  /// Drawn as the rule says of such a part. `weight` [out, in]; `shape` replaces that shape (a
  /// patch projection keeps its kernel's).
  Linear(int64_t in, int64_t out, Part part, const Init& init,
         const std::vector<int64_t>& shape = {});
  /// x: [..., in] -> [..., out].
  at::Tensor operator()(const at::Tensor& x) const;

  at::Tensor weight, bias;

 protected:
  void members(Members& list) override;
};

/// Layer normalisation over the last axis, in the type of x.
class Norm : public Module {
 public:
  Norm() = default;
  Norm(int64_t dim, double eps, const Init& init);
  at::Tensor operator()(const at::Tensor& x) const;

  at::Tensor weight, bias;
  double eps = 1e-6;

 protected:
  void members(Members& list) override;
};

/// Where the random numbers of one forward pass come from: masks of dropout and drop path are
/// functions of (seed, site, epoch, position of the clip), so a recomputed or redistributed pass
/// draws the same.
class Noise {
 public:
  Noise(const Noise&) = delete;
  Noise& operator=(const Noise&) = delete;
  Noise() = default;  ///< off: nothing is dropped
  explicit Noise(DrawKey key);

  /// Zeroes elements of x [R, ...], the rows of `runs`, with probability p and scales the others by
  /// 1 / (1 - p).
  at::Tensor dropout(const at::Tensor& x, const std::vector<Run>& runs, double p,
                     std::string_view site, int64_t block) const;
  /// Zeroes whole clips with probability p and scales the others by 1 / (1 - p).
  at::Tensor drop_path(const at::Tensor& x, const std::vector<Run>& runs, double p,
                       std::string_view site, int64_t block) const;

 private:
  DrawKey key_;
  bool on_ = false;
};

}  // namespace xp::model
