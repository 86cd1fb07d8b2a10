#pragma once

#include <filesystem>

#include "core/load/open_model.h"

namespace xp::cli {

/// Writes a model as a folder that stands on its own: model.safetensors (weights under our names,
/// with [model], [frontend] and classes in its metadata), recipe.toml (the resolved recipe of the
/// training, with these weights as start; of a foreign checkpoint [model] and [frontend] alone),
/// labels.csv,
/// golden.safetensors (`mel` [1, F, T] and the `logits` [1, K] of it), check.py (bundle_check.h).
/// The folder appears whole. Throws Error when it exists already, or when the model has no
/// classifier.
void write_bundle(const std::filesystem::path& folder, const load::OpenModel& open);

}  // namespace xp::cli
