#pragma once

#include <filesystem>
#include <set>
#include <string>

#include "core/checkpoint/archive.h"
#include "core/model/model.h"
#include "core/schema/model.h"

namespace xp::model {

/// Sets in `options`, whose `arch` is a CNN's, what a file of EfficientAT shows by its names and
/// shapes: the head and its heads, the tail, squeeze-and-excitation, the dynamic parts and their
/// sizes. What does not fit the architecture is left for load_weights to say. Returns the classes
/// of its classifier, 0 = none.
int64_t read_cnn(const checkpoint::Archive& archive, schema::ModelOptions& options,
                 const Geometry& input);

/// Throws Error (kData) where gates over time were made for inputs of other lengths than
/// `input.T`. `options` as read_cnn left it.
void check_gated_frames(const checkpoint::Archive& archive, const std::filesystem::path& file,
                        const schema::ModelOptions& options, const Geometry& input);

/// What no file of EfficientAT shows, with the values that are taken: "model.strides = [2, 2, 2,
/// 2], ..". Keys in `known` are left out; "" when all are.
std::string untold_by_cnn(const schema::ModelOptions& options, int64_t mel_bins,
                          const std::set<std::string>& known);

}  // namespace xp::model
