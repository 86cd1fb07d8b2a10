// The recipe reader on any bytes. It refuses them with an Error, or it resolves them; then what
// `show` writes gives the same recipe again. Byte 0x1F separates files: the recipe, b.toml, c.toml;
// a first line "#@ NAME" applies a variant,
// "#@ KEY=VALUE" is a --set.
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>

#include "core/base/error.h"
#include "core/schema/load.h"

namespace {

using xp::recipe::LoadOptions;

LoadOptions options_for(const std::string& input) {
  std::map<std::string, std::string> files;
  std::size_t begin = 0;
  for (const char* name : {"a.toml", "b.toml", "c.toml"}) {
    const std::size_t end = input.find('\x1f', begin);
    files[name] = input.substr(begin, end - begin);
    if (end == std::string::npos) break;
    begin = end + 1;
  }
  LoadOptions options;
  options.working_folder = "/nowhere";
  options.environment = [](const std::string& name) {
    return name == "SET" ? std::optional<std::string>("3") : std::nullopt;
  };
  options.read = [files](const std::filesystem::path& path) {
    const auto found = files.find(path.filename().string());
    return found == files.end() ? std::nullopt : std::optional<std::string>(found->second);
  };
  const std::string& text = files["a.toml"];
  if (text.substr(0, 3) == "#@ ") {
    const std::string line = text.substr(3, text.find('\n') - 3);
    const std::size_t equals = line.find('=');
    if (equals == std::string::npos) {
      options.variants.push_back(line);
    } else {
      options.overrides.push_back({line.substr(0, equals), line.substr(equals + 1), "--set"});
    }
  }
  return options;
}

void check_show(const xp::recipe::Recipe& recipe) {
  const std::string shown = recipe.show();
  LoadOptions again;
  again.working_folder = "/nowhere";
  again.environment = [](const std::string&) { return std::nullopt; };
  again.read = [&shown](const std::filesystem::path&) { return std::optional<std::string>(shown); };
  if (xp::schema::load_recipe("a.toml", again).canonical() != recipe.canonical()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  const std::string input(reinterpret_cast<const char*>(data), size);
  std::optional<xp::recipe::Recipe> recipe;
  try {
    recipe = xp::schema::load_recipe("a.toml", options_for(input));
  } catch (const xp::Error&) {
    return 0;
  }
  check_show(*recipe);
  recipe->hash();
  recipe->explain("tome.r");
  return 0;
}
