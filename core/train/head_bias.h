#pragma once

#include <cstdint>
#include <vector>

#include "core/batches/source.h"
#include "core/model/model.h"
#include "core/schema/stage_options.h"

namespace xp::train {

/// Sets the bias of a fresh model's last layer to what `model.head_bias` says, before any weights
/// are loaded over it; `from_nothing`: none will be. With sigmoids a bias of 0 says that every
/// class is in half of the clips, and all that an untrained network learns at first is that it is
/// not.
///
///   auto         log_classes for a transformer trained from nothing with loss bce, else init
///   init         what model.init drew
///   zero         0
///   log_classes  -log K of K classes (PaSST's `nlhb`): about the log-odds of one label a clip
///   frequencies  of n in N clips that were judged, log((n + 1/2) / (N - n + 1/2)); with ce, whose
///                classes exclude each other, log((n + 1/2) / (N + 1/2))
///
/// Throws Error for a head without a bias for each class (cnn_head = "attention").
void start_head_bias(model::Model& model, const schema::TrainStageOptions& options,
                     bool from_nothing, const batches::Clips& clips,
                     const std::vector<uint32_t>& rows);

}  // namespace xp::train
