#pragma once

#include <filesystem>
#include <string>

#include "core/base/files.h"
#include "core/schema/load.h"
#include "tests/testing/temp_dir.h"

namespace xp::schema {

/// Recipes in a folder of their own; the first is the one that is loaded.
class RecipeFiles {
 public:
  RecipeFiles() = default;
  explicit RecipeFiles(const std::string& text) { add("a.toml", text); }

  void add(const std::string& name, const std::string& text) {
    std::filesystem::create_directories((folder_.path() / name).parent_path());
    write_file_atomic(folder_.path() / name, text);
    if (main_.empty()) main_ = folder_.path() / name;
  }
  const std::filesystem::path& path() const { return main_; }
  std::filesystem::path folder() const { return folder_.path(); }

  recipe::Recipe load(const recipe::LoadOptions& options = {}) const {
    return load_recipe(main_, options);
  }
  /// With --set arguments "key=value".
  recipe::Recipe load_set(const std::vector<std::string>& sets) const {
    return load(options_of(sets));
  }

  /// What the error says, the folder's name taken out; "" when there is none.
  std::string fault(const recipe::LoadOptions& options = {}) const {
    try {
      load(options);
      return "";
    } catch (const recipe::RecipeError& error) {
      std::string text = error.what();
      const std::string prefix = folder_.path().string() + "/";
      for (std::size_t at = text.find(prefix); at != std::string::npos; at = text.find(prefix))
        text.erase(at, prefix.size());
      return text;
    }
  }
  std::string fault_set(const std::vector<std::string>& sets) const {
    return fault(options_of(sets));
  }

  static recipe::LoadOptions options_of(const std::vector<std::string>& sets) {
    recipe::LoadOptions options;
    for (const std::string& text : sets) {
      const std::size_t equals = text.find('=');
      options.overrides.push_back({text.substr(0, equals), text.substr(equals + 1), "--set"});
    }
    return options;
  }

 private:
  testing::TempDir folder_;
  std::filesystem::path main_;
};

}  // namespace xp::schema
