#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace xp::run {

/// How this process was called: what runs and sweeps keep of it, and what they start again.
struct Invocation {
  std::filesystem::path program;       ///< the running binary
  std::vector<std::string> arguments;  ///< argv without the program's name

  /// The command line as records keep it: "exp" and the arguments.
  std::vector<std::string> argv() const {
    std::vector<std::string> out = {"exp"};
    out.insert(out.end(), arguments.begin(), arguments.end());
    return out;
  }
};

}  // namespace xp::run
