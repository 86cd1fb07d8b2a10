#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "core/schema/frontend.h"
#include "core/schema/model.h"

namespace xp::schema {

/// What the header of a file of weights says of the network, read without its tensors: enough to
/// tell before anything runs that a model cannot take them. The import (core/model/files/import.h)
/// has the last word.
struct WeightsHeader {
  Body body = Body::kPlain;
  int64_t dim = 0;    ///< transformers: width of a token
  int64_t depth = 0;  ///< transformers: blocks
  int64_t width = 0;  ///< CNNs: channels that enter the last convolution; 0 = it does not say
  std::optional<FrontendOptions> frontend;  ///< of exp's own checkpoints
  std::optional<int64_t> classes;           ///< of exp's own checkpoints
};

/// Throws Error (kData) for a file that cannot be read and for one that holds no network (the state
/// of an optimiser, say).
WeightsHeader read_weights_header(const std::filesystem::path& file);

/// Why a model of `model` cannot take these weights; "" when nothing speaks against it. With
/// model.strict = false other numbers of blocks do not.
std::string why_unfit(const WeightsHeader& weights, const ModelOptions& model);

}  // namespace xp::schema
