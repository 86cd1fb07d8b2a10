#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/model/trunk.h"
#include "tests/testing/fixtures.h"

namespace xp::model {

/// Tensors of an original checkpoint by name, wrappers and "module." prefixes taken off.
using Weights = std::map<std::string, at::Tensor>;
Weights read_weights(const std::filesystem::path& file);

/// The originals' values under our names. `weights` of AST, SSAST (`special` position rows in front
/// of one pos_embed, prefix "v."), PaSST (separate embeddings) and TorchOnlyAST.
Weights from_ast(const Weights& weights, Grid grid);
Weights from_passt(const Weights& weights);
Weights from_torchonly(const Weights& weights);

/// The model that a case of TorchOnlyAST describes, with the options that `weights`
/// (from_torchonly) show.
TrunkOptions torchonly_options(const testing::Case& c, const Weights& weights);
/// What such a case calls logits: without a classifier the embedding, without an aggregator all
/// tokens.
at::Tensor last_output(const Output& out);

/// Copies `weights` into all tensors of `model`, each of which has to be there.
void load(Module& model, const Weights& weights);

}  // namespace xp::model
