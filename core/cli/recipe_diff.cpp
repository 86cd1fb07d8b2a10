#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/cli/arguments.h"
#include "core/cli/recipe_command.h"
#include "core/schema/load.h"

namespace xp::cli {
namespace {

/// "key = value" lines by key.
std::map<std::string, std::string> leaves_of(const std::string& canonical) {
  std::map<std::string, std::string> out;
  std::size_t begin = 0;
  while (begin < canonical.size()) {
    const std::size_t end = canonical.find('\n', begin);
    const std::string line = canonical.substr(begin, end - begin);
    const std::size_t equals = line.find(" = ");
    out[line.substr(0, equals)] = line.substr(equals + 3);
    begin = end + 1;
  }
  return out;
}

class RecipeDiff : public RecipePart {
 public:
  void declare(Arguments& declared) override {
    declared.option("one", one_, "recipe file; FILE@VARIANT for a variant").required();
    declared.option("two", two_, "the other").required();
    declared.footer(
        "Compares what gives results: defaults count, formatting, labels and paths do not.\n"
        "Examples:\n  exp recipe diff a.toml b.toml\n"
        "  exp recipe diff recipes/audioset/kd.toml recipes/audioset/kd.toml@nokd\n");
  }

  int run(Session& session) override {
    const auto a = leaves_of(load(one_).canonical());
    const auto b = leaves_of(load(two_).canonical());
    std::map<std::string, std::pair<std::string, std::string>> rows;
    for (const auto& [key, value] : a) rows[key].first = value;
    for (const auto& [key, value] : b) rows[key].second = value;
    nlohmann::ordered_json out = nlohmann::ordered_json::array();
    for (const auto& [key, pair] : rows) {
      if (pair.first == pair.second) continue;
      out.push_back({{"key", key}, {"one", pair.first}, {"two", pair.second}});
      if (session.json) continue;
      fmt::print("{}\n  - {}\n  + {}\n", key, shown(pair.first), shown(pair.second));
    }
    if (session.json) fmt::print("{}\n", out.dump(2));
    if (!session.json && out.empty())
      fmt::print("the same results: hash {}\n", load(one_).hash().substr(0, 12));
    return 0;
  }

 private:
  static std::string shown(const std::string& value) {
    return value.empty() ? "(not there)" : value;
  }

  static recipe::Recipe load(const std::string& text) {
    const std::size_t at = text.rfind('@');
    if (at == std::string::npos || std::filesystem::exists(text)) return schema::load_recipe(text);
    recipe::LoadOptions options;
    options.variants = {text.substr(at + 1)};
    return schema::load_recipe(text.substr(0, at), options);
  }

  std::string one_;
  std::string two_;
};

}  // namespace

std::unique_ptr<RecipePart> make_recipe_diff() { return std::make_unique<RecipeDiff>(); }

}  // namespace xp::cli
