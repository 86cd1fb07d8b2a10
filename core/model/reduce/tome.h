#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/model/reduce/reducer.h"
#include "core/model/tokens.h"

namespace xp::model {

/// Token merging (Bolya et al. 2023, "Token Merging: Your ViT But Faster", section 3), written from
/// the paper: tokens are dealt alternately into sets A (even positions) and B (odd), each A token
/// finds its most similar B token by the cosine of their keys, and the r most similar pairs are
/// merged into size-weighted means.

/// What merging does in one model: `r[i]` tokens less after block i, clamped to what there is
/// (schema::TomeOptions::plan, schema::merge_limit).
struct TomeSettings {
  std::vector<int64_t> r;   ///< one per block; shorter = zeros follow, what is too many is ignored
  bool prop_attn = true;    ///< adds log(size of the key token) to the attention logits
  bool protect_cls = true;  ///< token 0 merges into nothing
  bool protect_dist =
      true;  ///< token 1 receives nothing; false = the behaviour of Faster_Audio_Transformers
};

/// The reducer of [tome].
class Tome final : public Reducer {
 public:
  explicit Tome(TomeSettings settings) : settings_(std::move(settings)) {}

  bool acts_in(int64_t block) const override { return asked(block) > 0; }
  bool proportional() const override { return settings_.prop_attn; }
  /// match_tokens by the keys of each run and merge_tokens on all fields of `tokens`; r is clamped
  /// to what each run has.
  void reduce(Tokens& tokens, Attended& attended, int64_t block) const override;

  const TomeSettings& settings() const { return settings_; }

 private:
  int64_t asked(int64_t block) const {
    const auto index = static_cast<size_t>(block);
    return index < settings_.r.size() ? settings_.r[index] : 0;
  }

  TomeSettings settings_;
};

/// Which tokens may take no part.
struct Protect {
  bool cls = false;
  bool dist = false;
  int64_t count() const { return (cls ? 1 : 0) + (dist ? 1 : 0); }
};

/// The plan of one merge.
struct Match {
  int64_t before = 0;      ///< N
  int64_t after = 0;       ///< N - r
  at::Tensor target;       ///< [B, N] int64: token after the merge in which each token ends
  at::Tensor unmerged;     ///< [B, |A| - r] int64 into A; ascending if cls is protected, else by
                           ///< falling score
  at::Tensor merged_from;  ///< [B, r] int64 into A, by falling score
  at::Tensor merged_into;  ///< [B, r] int64 into B
};

/// Plans the merge of `r` pairs (clamped by schema::merge_limit). `metric`: [B, N, C], any float
/// type; no gradient flows. Order after it: unmerged A, then B; with dist protected A0, B0, rest of
/// A, rest of B, so that cls and dist stay at 0 and 1. r = 0 moves nothing.
Match match_tokens(const at::Tensor& metric, int64_t r, Protect protect);

/// Merges every token into the nearest of each k-th: B = tokens k-1, 2k-1, ..., A = the rest, all A
/// merge. Tokens beyond floor(N / k) * k are dropped (target -1).
Match match_every_kth(const at::Tensor& metric, int64_t k);

/// x: [B, N, C], size: [B, N] float32 or undefined (ones). Returns the size-weighted means [B, N',
/// C] in the type of x (accumulated in float32, or float64 for float64) and their sizes [B, N']
/// float32. Differentiable in x.
std::pair<at::Tensor, at::Tensor> merge_tokens(const at::Tensor& x, const at::Tensor& size,
                                               const Match& match);

/// Each original token gets the value of the token it went into: [B, N', C] -> [B, N, C].
at::Tensor unmerge_tokens(const at::Tensor& merged, const Match& match);

/// Carries Tokens::source on: source' [b, j] = target [b, source [b, j]].
at::Tensor trace_source(const at::Tensor& source, const Match& match);

}  // namespace xp::model
