#pragma once

#include <cstdint>
#include <optional>

#include "core/recipe/language.h"
#include "core/recipe/recipe.h"
#include "core/schema/dataset.h"

/// The rules that span keys, sections and stages; each has a passing and a failing recipe in
/// tests/schema. Run by load_recipe, before anything else is done with a recipe. None of them opens
/// audio.
namespace xp::schema {

/// Adds one fault for each rule that a stage breaks. Stages in which another fault was found are
/// passed over.
void check_recipe(const recipe::Recipe& recipe, recipe::FaultSink& faults);

/// What needs the devices of the run: each of them has a clip of every optimiser step (shares may
/// differ by one). Throws Error naming the stage.
void check_devices(const recipe::Recipe& recipe, int64_t devices);

/// Classes that a data set has: those of its label CSV where one is given and can be read, else
/// those of the published set; nullopt where only the data can tell (json, folder, passt_hdf5,
/// librispeech, and sets joined by `also`).
std::optional<int64_t> known_classes(const DatasetOptions& dataset);

}  // namespace xp::schema
