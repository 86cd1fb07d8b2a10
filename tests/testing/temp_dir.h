#pragma once

#include <filesystem>
#include <string_view>

namespace xp::testing {

/// A fresh folder that is removed with everything in it at the end of the scope.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

/// The root of the source tree that is under test.
std::filesystem::path source_dir();

/// The value of an environment variable, or "".
std::string_view env(const char* name);

}  // namespace xp::testing
