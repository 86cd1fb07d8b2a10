#include <algorithm>
#include <cstdlib>
#include <map>
#include <tuple>

#include <fmt/format.h>

#include "core/recipe/expand.h"
#include "core/recipe/files.h"
#include "core/recipe/merge.h"
#include "core/recipe/overrides.h"
#include "core/recipe/stages.h"
#include "core/recipe/state.h"
#include "core/recipe/static_check.h"
#include "core/recipe/sweep_spec.h"

namespace fs = std::filesystem;

namespace xp::recipe {
namespace {

constexpr std::size_t kMaxVariants = 1000;

std::optional<std::string> process_environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

class Sink : public FaultSink {
 public:
  explicit Sink(Faults& faults) : faults_(faults) {}
  void fault(const Value* at, std::string message) override {
    faults_.add(at == nullptr ? Spot{} : at->spot, std::move(message));
  }

 private:
  Faults& faults_;
};

class Loader {
 public:
  Loader(const Language& language, const fs::path& path, const LoadOptions& options)
      : language_(language), state_(std::make_unique<Recipe::State>()), faults_(state_->sources) {
    state_->language = &language;
    state_->path = path;
    state_->applied = options;
    std::error_code none;
    if (state_->applied.working_folder.empty())
      state_->applied.working_folder = fs::current_path(none);
    if (!state_->applied.environment) state_->applied.environment = &process_environment;
  }

  std::unique_ptr<Recipe::State> run() {
    std::vector<Document> documents =
        read_documents(state_->path, state_->sources, faults_, state_->files, state_->applied.read);
    const bool syntax = faults_.any();
    StaticCheck check(language_, faults_, poisoned_);
    for (Document& document : documents) check.document(document.tree);
    collect_variants(documents);
    if (syntax) throw RecipeError(faults_.sorted());
    add_layers(documents, check);
    expand();
    make_stages(*state_, faults_, poisoned_);
    check_overrides();
    fill_sweep();
    name_recipe();
    return std::move(state_);
  }

  Faults& faults() { return faults_; }

 private:
  void collect_variants(const std::vector<Document>& documents) {
    std::map<std::string, std::pair<Spot, VariantInfo>> known;
    for (const Document& document : documents) {
      const auto variants = document.tree.find("variants");
      if (variants == document.tree.end()) continue;
      for (const auto& [name, value] : *variants->second.get<Table>()) {
        const auto help = value.get<Table>()->find("help");
        const bool has_help = help != value.get<Table>()->end();
        const std::string text = has_help ? *help->second.get<std::string>() : "";
        const auto at = known.find(name);
        if (at == known.end() && known.size() >= kMaxVariants) {
          faults_.add(value.key_spot,
                      fmt::format("a recipe of more than {} variants", kMaxVariants));
          return;
        }
        if (at == known.end()) {
          const VariantInfo info{name, text, state_->sources.place(value.key_spot)};
          known.emplace(name, std::pair(value.key_spot, info));
        } else if (!text.empty()) {
          at->second.second.help = text;
        }
      }
    }
    std::vector<std::pair<Spot, VariantInfo>> found;
    for (auto& [name, variant] : known) found.push_back(std::move(variant));
    std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
      return std::tie(a.first.source, a.first.line, a.first.column) <
             std::tie(b.first.source, b.first.line, b.first.column);
    });
    for (auto& [spot, info] : found) state_->variants.push_back(std::move(info));
  }

  void add_layers(const std::vector<Document>& documents, StaticCheck& check) {
    for (const Document& document : documents) {
      Layer layer{document.main ? "file" : "extends", document.tree};
      layer.tree.erase("variants");
      state_->layers.push_back(std::move(layer));
    }
    for (const std::string& name : state_->applied.variants) add_variant(documents, name);
    for (const Layer& layer : state_->layers) merge_layer(language_, state_->merged, layer.tree);
    add_overrides(check);
  }

  /// All of them are one layer: a kind key among them drops what lies below, but none of the
  /// others.
  void add_overrides(StaticCheck& check) {
    for (const Override& override : state_->applied.overrides) {
      auto layer = override_layer(language_, override, state_->merged, state_->sources, faults_);
      if (!layer) continue;
      check.body(layer->tree, false);
      overlay_leaves(state_->overrides, layer->tree);
      state_->layers.push_back(std::move(*layer));
    }
    merge_layer(language_, state_->merged, state_->overrides);
  }

  void add_variant(const std::vector<Document>& documents, const std::string& name) {
    bool found = false;
    for (const Document& document : documents) {
      const auto variants = document.tree.find("variants");
      if (variants == document.tree.end()) continue;
      const Table& all = *variants->second.get<Table>();
      const auto one = all.find(name);
      if (one == all.end()) continue;
      Layer layer{"variant " + name, *one->second.get<Table>()};
      layer.tree.erase("help");
      state_->layers.push_back(std::move(layer));
      found = true;
    }
    if (found) return;
    std::vector<std::string> names;
    std::string list;
    for (const VariantInfo& info : state_->variants) {
      names.push_back(info.name);
      list += (list.empty() ? "" : ", ") + info.name;
    }
    const std::string near = nearest(name, names);
    std::string message =
        fmt::format("--variant {}: {} has no such variant", name, state_->path.string());
    message += did_you_mean(near);
    if (near.empty())
      message += list.empty() ? " (it has none)" : fmt::format(" (it has {})", list);
    faults_.add(Spot{}, std::move(message));
  }

  /// Expands a section in place; what is at fault goes, and poisons the section.
  void expand_section(Expander& expander, const SectionSpec& spec, Section& section,
                      const std::string& poison) {
    for (auto it = section.begin(); it != section.end();) {
      const FieldSpec* field = spec.find(it->first);
      const auto value = field == nullptr ? std::nullopt : expander.expand(*field, it->second);
      if (value) {
        it->second = *value;
        ++it;
      } else {
        poisoned_.insert(poison);
        it = section.erase(it);
      }
    }
  }

  void expand() {
    Expander expander(language_, state_->merged, state_->sources, faults_,
                      state_->applied.environment, state_->applied.working_folder);
    for (const SectionSpec& spec : language_.sections) {
      const auto found = state_->merged.find(spec.name);
      if (found == state_->merged.end()) continue;
      Section section = *found->second.get<Table>();
      expand_section(expander, spec, section, spec.name);
      state_->base.sections[spec.name] = std::move(section);
    }
    const auto stages = state_->merged.find("stages");
    if (stages == state_->merged.end()) return;
    for (const auto& [name, value] : *stages->second.get<Table>()) {
      state_->texts.push_back(stage_text(expander, name, value));
    }
    std::stable_sort(
        state_->texts.begin(), state_->texts.end(), [](const StageText& a, const StageText& b) {
          const Spot& x = a.value.key_spot;
          const Spot& y = b.value.key_spot;
          return std::tie(x.source, x.line, x.column) < std::tie(y.source, y.line, y.column);
        });
  }

  StageText stage_text(Expander& expander, const std::string& name, const Value& value) {
    StageText out;
    out.name = name;
    out.value = value;
    out.value.data = false;  // only the place is kept
    for (const auto& [key, item] : *value.get<Table>()) {
      if (key == "with") {
        for (const auto& [section, keys] : *item.get<Table>())
          out.with[section] = *keys.get<Table>();
      } else if (key == "each") {
        for (const auto& [dotted, spec] : flatten(*item.get<Table>())) {
          out.each.emplace_back(dotted,
                                parse_sweep_value(spec, *language_.find_key(dotted)).values);
        }
      } else {
        out.keys[key] = item;
      }
    }
    expand_section(expander, language_.stage_keys, out.keys, "stages." + name);
    for (auto& [section, keys] : out.with) {
      expand_section(expander, *language_.find_section(section), keys, section);
    }
    const auto kind = out.keys.find("do");
    if (kind != out.keys.end()) out.kind = *kind->second.get<std::string>();
    out.keys.erase("do");
    return out;
  }

  void check_overrides() {
    if (faults_.any()) return;  // what a key changes is known when the rest is right
    for (std::size_t i = 0; i < state_->applied.overrides.size(); ++i) {
      const Override& override = state_->applied.overrides[i];
      const Layer& layer =
          state_->layers[state_->layers.size() - state_->applied.overrides.size() + i];
      auto why = state_->why_unsettable(override.key, override.flag, false);
      if (!why) why = why_outdone(i);
      if (why) faults_.add(spot_of(layer.tree), *why);
    }
    const auto sweep = state_->merged.find("sweep");
    if (sweep == state_->merged.end()) return;
    const auto params = sweep->second.get<Table>()->find("params");
    if (params == sweep->second.get<Table>()->end()) return;
    for (const auto& [key, value] : flatten(*params->second.get<Table>())) {
      if (const auto why = state_->why_unsettable(key, "sweep.params", true))
        faults_.add(value.key_spot, *why);
    }
  }

  /// Why the override is without effect beside a later one: a `--set` of a key that is swept. The
  /// same flag twice is a command line that was added to, and --seeds counts on from the seed.
  std::optional<std::string> why_outdone(std::size_t index) const {
    const std::vector<Override>& all = state_->applied.overrides;
    const auto later =
        std::find_if(all.begin() + static_cast<std::ptrdiff_t>(index) + 1, all.end(),
                     [&](const Override& other) { return other.key == all[index].key; });
    if (later == all.end() || later->flag == all[index].flag || later->flag == "--seeds")
      return std::nullopt;
    return fmt::format("{} {} has no effect: {} sets it as well", all[index].flag, all[index].key,
                       later->flag);
  }

  /// The key of an override's only leaf.
  static Spot spot_of(const Table& tree) {
    const Value& value = tree.begin()->second;
    return value.key_spot;
  }

  void fill_sweep() {
    const auto found = state_->merged.find("sweep");
    if (found == state_->merged.end()) return;
    Table table = *found->second.get<Table>();
    if (const auto params = table.find("params"); params != table.end()) {
      for (const auto& [key, value] : flatten(*params->second.get<Table>())) {
        state_->sweep.params.emplace_back(key, spec_of(value));
      }
      table.erase(params);
    }
    auto params = std::move(state_->sweep.params);
    state_->sweep = detail::build_section<SweepSection>(table);
    state_->sweep.params = std::move(params);
  }

  static std::string spec_of(const Value& value) {
    if (const std::string* text = value.get<std::string>()) return *text;
    const Array* array = value.get<Array>();
    if (array == nullptr) return spec_text(value);
    std::string out;
    for (const Value& item : *array) out += (out.empty() ? "" : ",") + spec_text(item);
    return out;
  }

  void name_recipe() {
    const Value* name = state_->base.find("experiment", "name");
    state_->name = name != nullptr ? *name->get<std::string>() : "";
    if (state_->name.empty()) state_->name = state_->path.stem().string();
  }

  const Language& language_;
  std::unique_ptr<Recipe::State> state_;
  Faults faults_;
  std::set<std::string> poisoned_;
};

}  // namespace

Recipe load(const Language& language, const fs::path& path, const LoadOptions& options) {
  Loader loader(language, path, options);
  Recipe recipe(loader.run());
  if (language.check) {
    Sink sink(loader.faults());
    language.check(recipe, sink);
  }
  if (loader.faults().any()) throw RecipeError(loader.faults().sorted());
  return recipe;
}

}  // namespace xp::recipe
