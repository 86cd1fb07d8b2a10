#pragma once

#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/checkpoint/archive.h"
#include "core/model/model.h"
#include "core/model/torchonly.h"
#include "core/schema/frontend.h"
#include "core/schema/model.h"

/// What a checkpoint of another program says of its model, and what has to be said for it.
namespace xp::load {

/// How a recipe's [model] or a command's options disagree with what a file shows: of an exp
/// checkpoint (`carried`), of TorchOnlyAST's configuration, of the shapes of EfficientAT's tensors.
/// "" when they agree, else "model.norm_first = false in FILE (here true)", of each key that the
/// outputs depend on and that the model's own shapes do not show.
std::string model_difference(const checkpoint::Archive& archive, const std::filesystem::path& file,
                             const schema::ModelOptions* carried, const schema::ModelOptions& ours,
                             const model::Geometry& input);

/// A file's own description in place of `--arch` and its strides; throws Error (kUsage) when these
/// are given and say otherwise. `arch` "" and strides 0: not given.
void take_description(const model::TorchOnlyConfig& config, const std::string& name,
                      const std::string& arch, int64_t fstride, int64_t tstride,
                      schema::ModelOptions& options, schema::FrontendOptions& frontend);

/// The line that says what is taken for granted of a CNN's file; "" when all of it was said.
std::string granted(const schema::ModelOptions& options, const schema::FrontendOptions& frontend,
                    const std::set<std::string>& said);

}  // namespace xp::load
