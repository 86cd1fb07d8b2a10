#include "tests/testing/put.h"

#include <fstream>

namespace xp::testing {

std::filesystem::path put(const std::filesystem::path& file, std::string_view content) {
  if (file.has_parent_path()) std::filesystem::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << content;
  return file;
}

}  // namespace xp::testing
