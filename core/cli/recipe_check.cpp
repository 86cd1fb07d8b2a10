#include <filesystem>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/cli/arguments.h"
#include "core/cli/recipe_command.h"
#include "core/schema/load.h"

namespace xp::cli {
namespace {

using nlohmann::ordered_json;

class Check : public RecipePart {
 public:
  void declare(Arguments& declared) override {
    declared.option("recipes", files_, "recipe files (default: default_recipe of exp.toml)");
    declared.option("--variant", arguments_.variants, "only with this variant; may be repeated")
        .take_all();
    declared.option("--set", arguments_.sets, "KEY=VALUE on top of the recipe; may be repeated")
        .take_all();
    declared.footer(
        "Without --variant every variant is checked as well. Files whose names begin with _ are "
        "shared bases, no recipes: of several files they are passed over.\nExample:\n  exp recipe "
        "check "
        "recipes/*/*.toml\n");
  }

  int run(Session& session) override {
    if (files_.empty()) files_.push_back(arguments_.path(session).string());
    if (files_.size() > 1) {
      std::erase_if(files_, [](const std::string& file) {
        const bool base = std::filesystem::path(file).filename().string().starts_with('_');
        if (base) log::info("{}: passed over, a shared base", file);
        return base;
      });
    }
    ordered_json report = ordered_json::array();
    int bad = 0;
    for (const std::string& file : files_) bad += check_file(file, session, report);
    if (session.json) fmt::print("{}\n", report.dump(2));
    if (bad > 0 && !session.json) fmt::print("{} of {} recipes at fault\n", bad, files_.size());
    return bad > 0 ? static_cast<int>(Exit::kUsage) : 0;
  }

 private:
  /// 1 when the file or one of its variants is at fault.
  int check_file(const std::string& file, const Session& session, ordered_json& report) {
    const recipe::LoadOptions options = arguments_.options();
    std::vector<std::string> seen;
    try {
      const recipe::Recipe recipe = schema::load_recipe(file, options);
      if (options.variants.empty()) {
        for (const recipe::VariantInfo& variant : recipe.variants())
          check_variant(file, variant.name, options, seen, report);
      }
      if (!seen.empty()) return 1;
      if (!session.json) {
        fmt::print("{}: fine ({} stages, {} variants, hash {})\n", file, recipe.stages().size(),
                   recipe.variants().size(), recipe.hash().substr(0, 12));
      }
      return 0;
    } catch (const recipe::RecipeError& error) {
      add_faults(error, "", seen, report, session);
      return 1;
    }
  }

  void check_variant(const std::string& file, const std::string& variant,
                     recipe::LoadOptions options, std::vector<std::string>& seen,
                     ordered_json& report) {
    options.variants = {variant};
    try {
      schema::load_recipe(file, options);
    } catch (const recipe::RecipeError& error) {
      add_faults(error, variant, seen, report, Session{});
    }
  }

  static void add_faults(const recipe::RecipeError& error, const std::string& variant,
                         std::vector<std::string>& seen, ordered_json& report,
                         const Session& session) {
    for (const auto& fault : error.faults()) {
      const std::string text = render(fault.place, fault.message);
      if (std::find(seen.begin(), seen.end(), text) != seen.end()) continue;
      seen.push_back(text);
      report.push_back({{"file", fault.place.file},
                        {"line", fault.place.line},
                        {"column", fault.place.column},
                        {"variant", variant},
                        {"message", fault.message}});
      if (!session.json)
        fmt::print("{}{}\n", text,
                   variant.empty() ? "" : fmt::format("\n  (with --variant {})", variant));
    }
  }

  std::vector<std::string> files_;
  RecipeArguments arguments_;
};

}  // namespace

std::unique_ptr<RecipePart> make_recipe_check() { return std::make_unique<Check>(); }

}  // namespace xp::cli
