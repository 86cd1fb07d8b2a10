#pragma once

#include <string>

namespace xp::cli {

/// "exp 0.1.0 (3f2a9c1d, g++ 12.2.0)": version, git commit the binary was built from, compiler.
std::string version_text();

/// {version, commit, compiler} as JSON.
std::string version_json();

}  // namespace xp::cli
