#pragma once

#include "core/recipe/options_io.h"

namespace xp::recipe {

/// The section that an option struct stands for: each key of its kind with its value, defaults
/// included. The reverse of View::build.
template <class T>
Section section_of(const T& options) {
  return detail::to_section(options);
}

}  // namespace xp::recipe
