#pragma once

#include <filesystem>
#include <functional>

#include "core/checkpoint/archive.h"

namespace xp::load {

/// Opens a file of weights and hands it to `use`; meanwhile a thread of its own computes the digest
/// of the same bytes, where the manifest of a stage lies beside the file: it is read once, and on
/// two cores the digest costs no time of its own. Throws Error (kData) when the digest is not the
/// manifest's, whatever `use` made of the bytes until then; else what `use` throws.
void use_checked_weights(const std::filesystem::path& file,
                         const std::function<void(const checkpoint::Archive&)>& use);

}  // namespace xp::load
