// The parts of `exp recipe` that only look: show, explain, variants, schema, plan.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/cli/arguments.h"
#include "core/cli/plan_options.h"
#include "core/cli/recipe_command.h"
#include "core/recipe/reference.h"
#include "core/schema/load.h"

namespace xp::cli {
namespace {

using nlohmann::ordered_json;

class RecipeShow : public RecipePart {
 public:
  void declare(Arguments& declared) override {
    arguments_.declare(declared, false);
    declared.flag("--canonical", canonical_, "what is hashed, in place of the recipe");
    declared.footer(
        "Example:\n  exp recipe show recipes/audioset/kd.toml --variant tiny > mine.toml\n");
  }
  int run(Session& session) override {
    const recipe::Recipe recipe = arguments_.load(session);
    if (session.json) {
      const ordered_json out = {{"name", recipe.name()},
                                {"hash", recipe.hash()},
                                {"toml", recipe.show()},
                                {"canonical", recipe.canonical()}};
      fmt::print("{}\n", out.dump(2));
    } else {
      fmt::print("{}", canonical_ ? recipe.canonical() : recipe.show());
    }
    return 0;
  }

 private:
  RecipeArguments arguments_;
  bool canonical_ = false;
};

class Explain : public RecipePart {
 public:
  void declare(Arguments& declared) override {
    declared.option("key", key_, "section.key, or stages.NAME.with.section.key").required();
    arguments_.declare(declared, false);
    declared.footer("Example:\n  exp recipe explain tome.r recipes/audioset/kd.toml\n");
  }
  int run(Session& session) override {
    const recipe::Recipe recipe = arguments_.load(session);
    const std::vector<recipe::Setting> settings = recipe.explain(key_);
    if (session.json) {
      ordered_json out = ordered_json::array();
      for (const recipe::Setting& s : settings) {
        out.push_back({{"layer", s.layer},
                       {"file", s.place.file},
                       {"line", s.place.line},
                       {"column", s.place.column},
                       {"value", s.text},
                       {"dropped", s.dropped}});
      }
      fmt::print("{}\n", out.dump(2));
      return 0;
    }
    print(settings);
    return 0;
  }

 private:
  void print(const std::vector<recipe::Setting>& settings) const {
    const recipe::FieldSpec* field = schema::language().find_key(key_);
    fmt::print("{}: {} ({})\n", key_, field->help, field->expects());
    std::size_t widest = 0;
    for (const recipe::Setting& s : settings) widest = std::max(widest, s.layer.size());
    for (const recipe::Setting& s : settings) {
      std::string where;
      if (s.place.line > 0)
        where = fmt::format("  {}:{}:{}", s.place.file, s.place.line, s.place.column);
      fmt::print("  {:<{}}  {}{}{}\n", s.layer, widest, s.text, where,
                 s.dropped ? "  (dropped: a later layer changes the section's kind)" : "");
    }
  }

  std::string key_;
  RecipeArguments arguments_;
};

class Variants : public RecipePart {
 public:
  void declare(Arguments& declared) override {
    arguments_.declare(declared, false);
    declared.footer("Example:\n  exp recipe variants recipes/audioset/kd.toml\n");
  }
  int run(Session& session) override {
    const recipe::Recipe recipe = arguments_.load(session);
    ordered_json out = ordered_json::array();
    std::size_t widest = 0;
    for (const recipe::VariantInfo& v : recipe.variants()) {
      out.push_back(
          {{"name", v.name}, {"help", v.help}, {"file", v.place.file}, {"line", v.place.line}});
      widest = std::max(widest, v.name.size());
    }
    if (session.json) {
      fmt::print("{}\n", out.dump(2));
      return 0;
    }
    if (out.empty()) fmt::print("{} has no variants\n", recipe.path().string());
    for (const recipe::VariantInfo& v : recipe.variants()) {
      fmt::print("{:<{}}  {}{}{}:{}\n", v.name, widest, v.help, v.help.empty() ? "" : "  ",
                 v.place.file, v.place.line);
    }
    return 0;
  }

 private:
  RecipeArguments arguments_;
};

class Schema : public RecipePart {
 public:
  void declare(Arguments& declared) override {
    declared.flag("--markdown", markdown_, "docs/recipe_reference.md in place of the schema");
    declared.footer(
        "Example:\n  exp recipe schema > recipe.schema.json   # for the Taplo language server, see "
        "docs/recipes.md\n");
  }
  int run(Session& /*session*/) override {
    fmt::print("{}", markdown_ ? recipe::reference_markdown(schema::language())
                               : recipe::json_schema(schema::language()));
    return 0;
  }

 private:
  bool markdown_ = false;
};

class RecipePlan : public RecipePart {
 public:
  void declare(Arguments& declared) override {
    arguments_.put_off = true;
    declare_plan_options(declared, arguments_);
    declared.footer("Example:\n  exp recipe plan recipes/audioset/kd.toml --variant tiny\n");
  }
  int run(Session& session) override {
    print_plan(run::plan_run(arguments_, session.workspace()), session);
    return 0;
  }

 private:
  run::RunArguments arguments_;
};

}  // namespace

std::unique_ptr<RecipePart> make_recipe_show() { return std::make_unique<RecipeShow>(); }
std::unique_ptr<RecipePart> make_recipe_explain() { return std::make_unique<Explain>(); }
std::unique_ptr<RecipePart> make_recipe_variants() { return std::make_unique<Variants>(); }
std::unique_ptr<RecipePart> make_recipe_schema() { return std::make_unique<Schema>(); }
std::unique_ptr<RecipePart> make_recipe_plan() { return std::make_unique<RecipePlan>(); }

}  // namespace xp::cli
