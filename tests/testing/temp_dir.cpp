#include "tests/testing/temp_dir.h"

#include <cstdlib>
#include <system_error>

#include "core/base/clock.h"

namespace xp::testing {

TempDir::TempDir() : path_(std::filesystem::temp_directory_path() / ("exp-test-" + make_ulid())) {
  std::filesystem::create_directories(path_);
}

TempDir::~TempDir() {
  std::error_code ignored;
  // A test may have taken away its own permissions; removal needs them back.
  std::filesystem::permissions(path_, std::filesystem::perms::owner_all, ignored);
  std::filesystem::remove_all(path_, ignored);
}

std::filesystem::path source_dir() {
  const auto dir = env("XP_SOURCE_DIR");
  return dir.empty() ? std::filesystem::current_path() : std::filesystem::path(dir);
}

std::string_view env(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

}  // namespace xp::testing
