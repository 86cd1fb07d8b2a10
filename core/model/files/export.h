#pragma once

#include "core/checkpoint/archive.h"
#include "core/model/files/key_map.h"
#include "core/model/model.h"

namespace xp::model {

/// The model's tensors under an original's names and in its forms, in the order of its state dict's
/// parts, so that its own class loads them strictly: with its "module." prefix (AST), and with
/// zeros for the classifiers that it keeps but never uses (AST: 1000 ImageNet classes; PaSST:
/// `head_dist`).
///
///   kAst        joint position embedding, cls_dist aggregator, norm_linear head
///   kDeit       timm's distilled ViT without classifiers (num_classes = 0)
///   kPasst      separate position embedding, norm_linear head
///   kTorchOnly  either position; every aggregator but dist; norm_linear head or none (below)
///   kMn, kDymn  the CNNs; dymn's temperature, which is ours, is left out
///   kExp        names of our own
///
/// TorchOnlyAST has no positions of special tokens: they are added to the tokens. Its files hold
/// {model, resolved_config}, which write_torch(file, "model") makes of this: the class and the
/// arguments of every module, as its build_from_pretrained reads them.
///
/// `input`: what the model was made for, which TorchOnlyAST's files say; {}: as much as its
/// position embedding covers.
///
/// Metadata: what the original's file carries beside the tensors. Values are shared with the model
/// where they are contiguous on the CPU. Throws Error (kUsage) when the model has no such form.
checkpoint::Archive export_weights(const Model& model, Original as, const Geometry& input = {});

}  // namespace xp::model
