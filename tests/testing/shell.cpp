#include "tests/testing/shell.h"

#include <array>
#include <cstdio>
#include <stdexcept>

#include <sys/wait.h>

namespace xp::testing {

Shell shell(const std::string& line) {
  FILE* pipe = popen(("{ " + line + "\n} 2>&1").c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error("cannot start a shell");
  Shell result;
  std::array<char, 4096> block{};
  while (const size_t got = std::fread(block.data(), 1, block.size(), pipe))
    result.text.append(block.data(), got);
  const int status = pclose(pipe);
  result.code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return result;
}

}  // namespace xp::testing
