#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/model/trunk.h"

namespace xp::model {

/// How patches are chosen for masking (Gong et al. 2022, "SSAST").
struct MaskSettings {
  int64_t masked = 400;     ///< patches of each clip, at most all of them
  int64_t cluster_min = 3;  ///< side of the squares that are masked together, drawn per clip
  int64_t cluster_max = 5;  ///< 0: single patches (frame models)
};

/// [B, M] int64 patch indices of B clips, each in its own grid, ascending for clusters, functions
/// of (seed, epoch, position) of each clip. A clip of fewer patches than M has -1 at the end.
/// `pass` tells the draws of several passes over one batch apart. Squares start anywhere but at
/// patch 0 and may wrap over the last column, as in the original; of more patches than asked the
/// lowest stay.
at::Tensor draw_masks(const MaskSettings& settings, const std::vector<Grid>& grids,
                      const DrawKey& key, int64_t pass);

/// What masked pretraining computes, [B]: means over the masked patches of each clip.
struct MaskedLosses {
  at::Tensor
      nce;  ///< contrastive: -mean log softmax over the predictions of each true patch's scores
  at::Tensor accuracy;  ///< share of predictions that find their patch; as in the original (see
                        ///< masked.cpp)
  at::Tensor mse;       ///< mean squared error of the reconstructed patches
};

/// A trunk with SSAST's pretraining heads. Beside Trunk's tensors (no head):
///
///   mask_embed                              [1, 1, D]
///   cpredlayer.0.{weight,bias}, .2.*        D -> D -> ReLU -> patch: discriminative
///   gpredlayer.0.{weight,bias}, .2.*        generative
class MaskedTrunk : public Trunk {
 public:
  MaskedTrunk(const TrunkOptions& options, const Init& init);

  /// masks: [B, M] patch indices without duplicates, -1 behind a clip's last. Fills what is asked,
  /// the rest is undefined.
  MaskedLosses losses(const Input& input, const at::Tensor& masks, bool discriminative,
                      bool generative, const Pass& pass) const;

  /// The predictions [b, M, patch_f * patch_t] of both heads and the true patches, of the clips of
  /// one width.
  struct Predictions {
    at::Tensor contrastive, generated, truth;
  };
  /// In the order of `widths(input)`.
  std::vector<Predictions> predict(const Input& input, const at::Tensor& masks, bool discriminative,
                                   bool generative, const Pass& pass) const;

  /// The patches of each clip.
  std::vector<Grid> grids_of(const Input& input) const;

 protected:
  void members(Members& list) override;

 private:
  class Predictor : public Module {
   public:
    Predictor(int64_t dim, int64_t patch, const Init& init);
    at::Tensor operator()(const at::Tensor& x) const;

   protected:
    void members(Members& list) override;

   private:
    Linear hidden_, out_;
  };

  at::Tensor mask_embed_;
  Predictor contrastive_, generative_;
};

/// [b] each.
MaskedLosses masked_losses(const MaskedTrunk::Predictions& predictions);

}  // namespace xp::model
