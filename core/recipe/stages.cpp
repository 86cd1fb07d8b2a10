#include "core/recipe/stages.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/recipe/merge.h"
#include "core/recipe/static_check.h"

namespace xp::recipe {
namespace {

constexpr std::size_t kMaxStages = 1000;
/// An instance has its own copy of the sections: bytes of the recipe's text, times instances.
constexpr std::size_t kMaxCopied = std::size_t{64} << 20;

bool contains(const std::vector<std::string>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

/// The strings of a value, one by one: itself, or the items of an array.
template <class Visit>
void for_each_text(const Value& value, Visit&& visit) {
  if (const std::string* text = value.get<std::string>()) visit(*text, value);
  if (const Array* array = value.get<Array>()) {
    for (const Value& item : *array) {
      if (const std::string* text = item.get<std::string>()) visit(*text, item);
    }
  }
}

class StageMaker {
 public:
  StageMaker(Recipe::State& state, Faults& faults, const std::set<std::string>& poisoned)
      : state_(state), language_(*state.language), faults_(faults), poisoned_(poisoned) {}

  void run() {
    if (state_.texts.empty() && !faults_.any()) {
      faults_.add(Spot{},
                  fmt::format("{}: a recipe needs at least one [stages.NAME] with do = \"...\"",
                              state_.path.string()));
    }
    if (state_.texts.size() > kMaxStages) {
      faults_.add(state_.texts[kMaxStages].value.key_spot,
                  fmt::format("a recipe of more than {} stages", kMaxStages));
      return;
    }
    for (int i = 0; i < state_.sources.size(); ++i) text_bytes_ += state_.sources.at(i).text.size();
    for (const StageText& text : state_.texts) make(text);
    check_unread_sections();
    check_references();
    if (!circle_) carry_all();
    for (Stage& stage : state_.stages) finish(stage);
    check_goals();
  }

 private:
  // ---- instances ----

  void make(const StageText& text) {
    const StageKindSpec* kind = language_.find_stage_kind(text.kind);
    if (kind == nullptr) {
      if (text.kind.empty() && poisoned_.count("stages." + text.name) == 0) {
        faults_.add(text.value.key_spot,
                    fmt::format("stage {} has no `do`: what kind of stage is it?", text.name));
      }
      return;
    }
    for (const auto& [key, value] : text.keys) {
      if (!contains(kind->keys, key)) {
        faults_.add(value.key_spot,
                    fmt::format("a stage that does '{}' has no key '{}'", kind->name, key));
      }
    }
    for (const std::string& key : kind->required) {
      if (text.keys.count(key) == 0 && poisoned_.count("stages." + text.name) == 0) {
        faults_.add(text.value.key_spot, fmt::format("stage {} needs '{}'", text.name, key));
      }
    }
    for (const auto& [section, keys] : text.with) {
      if (!kind->may_read(section) && !keys.empty()) {
        faults_.add(keys.begin()->second.key_spot,
                    fmt::format("stage {} does '{}', which does not read [{}]", text.name,
                                kind->name, section));
      }
    }
    for (const auto& [key, values] : text.each) {
      if (!kind->may_read(key.substr(0, key.find('.')))) {
        faults_.add(text.value.key_spot, fmt::format("stage {} does '{}', which does not read {}",
                                                     text.name, kind->name, key));
      }
    }
    Stage stage{text.name, text.kind, {}};
    add_instances(text, *kind, stage);
    if (!stage.instances.empty()) state_.stages.push_back(std::move(stage));
  }

  void add_instances(const StageText& text, const StageKindSpec& kind, Stage& stage) {
    std::size_t count = 1;
    for (const auto& [key, values] : text.each) {
      count *= std::max<std::size_t>(values.size(), 1);
      if (count > kMaxInstances) {
        faults_.add(text.value.key_spot, fmt::format("stage {}: each makes more than {} instances",
                                                     text.name, kMaxInstances));
        count = 1;
        break;
      }
    }
    instances_ += count;
    if (instances_ * text_bytes_ > kMaxCopied) {
      faults_.add(text.value.key_spot,
                  fmt::format("{} instances of stages are too many for a recipe of {} bytes",
                              instances_, text_bytes_));
      count = 0;
    }
    for (std::size_t i = 0; i < count; ++i) {
      Instance instance;
      instance.name = text.name;
      std::size_t rest = i;
      std::size_t block = count;
      for (const auto& [key, values] : text.each) {
        if (count == 1 && values.size() > 1) break;
        block /= values.size();
        instance.each.emplace_back(key, values[rest / block]);
        rest %= block;
      }
      for (std::size_t k = 0; k < instance.each.size(); ++k) {
        instance.name += (k == 0 ? "@" : ",") + plain(instance.each[k].second);
      }
      instance.view = view_of(text, kind, instance);
      stage.instances.push_back(std::move(instance));
    }
  }

  static std::string plain(const Value& value) {
    const std::string* text = value.get<std::string>();
    return text != nullptr ? *text : to_toml(value);
  }

  View view_of(const StageText& text, const StageKindSpec& kind, const Instance& instance) const {
    View view;
    view.stage = text.name;
    view.kind = text.kind;
    view.keys = text.keys;
    for (const SectionSpec& spec : language_.sections) {
      if (!kind.may_read(spec.name)) continue;
      const auto base = state_.base.sections.find(spec.name);
      const bool none = base == state_.base.sections.end() || !text.inherits(spec.name);
      Section section = none ? Section{} : base->second;
      if (const auto with = text.with.find(spec.name); with != text.with.end()) {
        merge_section(spec, section, with->second);
      }
      for (const auto& [key, value] : instance.each) {
        if (key.substr(0, key.find('.')) == spec.name)
          section[key.substr(spec.name.size() + 1)] = value;
      }
      if (poisoned_.count(spec.name) != 0) view.faulty = true;
      if (!section.empty()) view.sections[spec.name] = std::move(section);
    }
    if (poisoned_.count("stages." + text.name) != 0 || poisoned_.count("each") != 0)
      view.faulty = true;
    return view;
  }

  // ---- references ----

  void check_references() {
    for (const Stage& stage : state_.stages) {
      check_references_of(stage, stage.instances.front().view);
    }
    std::vector<std::string> path;
    std::set<std::string> done;
    for (const Stage& stage : state_.stages) {
      if (!circle_) find_circle(stage, path, done);
    }
  }

  /// Calls visit(text, value) for every string of the stage that may refer to another stage.
  template <class Visit>
  void for_each_input(const View& view, Visit&& visit) const {
    for (const auto& [key, value] : view.keys) for_each_text(value, visit);
    const StageKindSpec& kind = *language_.find_stage_kind(view.kind);
    for (const auto& [name, section] : view.sections) {
      const SectionSpec& spec = *language_.find_section(name);
      if (kind.carries(name)) continue;
      for (const auto& [key, value] : section) {
        const FieldSpec* field = spec.find(key);
        if (field == nullptr || !field->spec.input || !kind.reads(view, name, key)) continue;
        for_each_text(value, visit);
      }
    }
  }

  void check_references_of(const Stage& stage, const View& view) {
    for_each_input(view, [&](const std::string& text, const Value& at) {
      const auto reference = parse_reference(text);
      if (!reference) return;
      const Stage* other = find(reference->stage);
      if (other == nullptr) {
        std::vector<std::string> names;
        for (const StageText& known : state_.texts) names.push_back(known.name);
        if (contains(names, reference->stage)) return;  // its own fault is told
        faults_.add(at.spot,
                    fmt::format("stage {} refers to stage '{}', which the recipe does not have{}",
                                stage.name, reference->stage,
                                did_you_mean(nearest(reference->stage, names))));
        return;
      }
      const StageKindSpec& kind = state_.kind_of(*other);
      if (contains(kind.attributes, reference->attribute)) return;
      faults_.add(at.spot,
                  fmt::format("stage {} does '{}' and has no '{}'; it has {}", other->name,
                              kind.name, reference->attribute, fmt::join(kind.attributes, ", ")));
    });
  }

  void find_circle(const Stage& stage, std::vector<std::string>& path,
                   std::set<std::string>& done) {
    if (done.count(stage.name) != 0 || circle_) return;
    path.push_back(stage.name);
    for_each_input(stage.instances.front().view, [&](const std::string& text, const Value& at) {
      const auto reference = parse_reference(text);
      if (!reference || circle_) return;
      const auto begin = std::find(path.begin(), path.end(), reference->stage);
      if (begin != path.end()) {
        std::string chain;
        for (auto it = begin; it != path.end(); ++it) chain += *it + " -> ";
        faults_.add(at.spot, fmt::format("stages wait for each other in a circle: {}{}", chain,
                                         reference->stage));
        circle_ = true;
        return;
      }
      if (const Stage* other = find(reference->stage)) find_circle(*other, path, done);
    });
    path.pop_back();
    done.insert(stage.name);
  }

  const Stage* find(std::string_view name) const {
    const auto found = std::find_if(state_.stages.begin(), state_.stages.end(),
                                    [name](const Stage& s) { return s.name == name; });
    return found == state_.stages.end() ? nullptr : &*found;
  }

  // ---- what checkpoints carry ----

  void carry_all() {
    std::set<std::string> done;
    for (Stage& stage : state_.stages) carry(stage, done);
  }

  void carry(Stage& stage, std::set<std::string>& done) {
    if (!done.insert(stage.name).second) return;
    const StageKindSpec& kind = state_.kind_of(stage);
    if (kind.carried.empty()) return;
    for (Instance& instance : stage.instances) {
      const Inputs checkpoints = instance.view.key_inputs("checkpoint");
      if (checkpoints.empty()) continue;
      const std::string& first = checkpoints.list.front();
      const auto reference = parse_reference(first);
      View source;
      if (reference) {
        const auto makers = resolve_reference(state_.stages, *reference, instance);
        if (makers.empty()) continue;
        source = makers.front()->view;
        if (source.faulty) instance.view.faulty = true;
        instance.view.carried_from = "stage " + reference->stage;
      } else if (language_.carry && language_.carry(first, source)) {
        instance.view.carried_from = first;
      } else {
        continue;
      }
      take_carried(instance.view, source, kind);
    }
  }

  void take_carried(View& view, const View& source, const StageKindSpec& kind) {
    const StageText* text = state_.find_text(view.stage);
    for (const std::string& name : kind.carried) {
      const SectionSpec& spec = *language_.find_section(name);
      const auto from = source.sections.find(name);
      Section carried = from == source.sections.end() ? Section{} : from->second;
      const auto with = text->with.find(name);
      if (with != text->with.end()) {
        for (const auto& [key, value] : with->second) {
          const FieldSpec& field = *spec.find(key);
          if (contains(kind.adaptable, field.dotted())) {
            carried[key] = value;
          } else if (!(spec.effective(field, carried) == value)) {
            faults_.add(value.key_spot, fmt::format("{} cannot be set here: the checkpoint of {} "
                                                    "brings its own [{}]; only {} may differ",
                                                    field.dotted(), view.carried_from, name,
                                                    fmt::join(kind.adaptable, ", ")));
          }
        }
      }
      view.sections[name] = std::move(carried);
    }
  }

  // ---- the finished views ----

  void finish(Stage& stage) {
    const StageKindSpec& kind = state_.kind_of(stage);
    const StageText& text = *state_.find_text(stage.name);
    for (Instance& instance : stage.instances) {
      const View& view = instance.view;
      const std::size_t before = faults_.count();
      for (const std::string& name : kind.sections) {
        const SectionSpec* spec = language_.find_section(name);
        if (spec == nullptr || (kind.carries(name) && !view.carried_from.empty())) continue;
        const auto found = view.sections.find(name);
        const Section section = found == view.sections.end() ? Section{} : found->second;
        check_kind_keys(*spec, section);
        if (!kind.carries(name)) check_required(*spec, section, kind, view, text);
      }
      if (faults_.count() != before) instance.view.faulty = true;
    }
  }

  void check_kind_keys(const SectionSpec& spec, const Section& section) {
    const auto kind = spec.kind_of(section);
    if (!kind) return;
    for (const auto& [key, value] : section) {
      const FieldSpec* field = spec.find(key);
      if (field == nullptr || detail::has_key(field->spec, spec.kinds[*kind])) continue;
      const Value& chosen = spec.effective(*spec.find(spec.kind_key), section);
      const std::string* text = chosen.get<std::string>();
      faults_.add(value.key_spot,
                  fmt::format("{}.{} is {}, which has no key '{}' (it belongs to {})", spec.name,
                              spec.kind_key, quote(*text), key, commas(field->spec.only)));
    }
  }

  static std::string commas(std::string_view words) {
    std::string out;
    for (const char c : words) out += c == ' ' ? std::string(", ") : std::string(1, c);
    return out;
  }

  void check_required(const SectionSpec& spec, const Section& section, const StageKindSpec& kind,
                      const View& view, const StageText& text) {
    if (poisoned_.count(spec.name) != 0) return;
    for (const FieldSpec& field : spec.fields) {
      if (!field.spec.required || section.count(field.key) != 0 ||
          !kind.reads(view, spec.name, field.key))
        continue;
      faults_.add(text.value.key_spot, fmt::format("stage {} needs {}: {} ({})", text.name,
                                                   field.dotted(), field.help, field.expects()));
    }
  }

  void check_unread_sections() {
    if (state_.stages.empty()) return;
    std::string kinds;
    for (const Stage& stage : state_.stages) {
      if (kinds.find("'" + stage.kind + "'") == std::string::npos)
        kinds += (kinds.empty() ? "'" : ", '") + stage.kind + "'";
    }
    for (const auto& [name, section] : state_.base.sections) {
      if (name == "experiment") continue;
      const auto reads = [&name = name, this](const Stage& stage) {
        return state_.kind_of(stage).may_read(name) && state_.find_text(stage.name)->inherits(name);
      };
      const bool read = std::any_of(state_.stages.begin(), state_.stages.end(), reads);
      const auto at = state_.merged.find(name);
      if (!read) {
        faults_.add(
            at->second.key_spot,
            fmt::format("no stage of this recipe reads [{}]: its stages do {}", name, kinds));
      }
    }
  }

  void check_goals() {
    const Value* goals = state_.base.find("experiment", "goals");
    if (goals == nullptr) return;
    for_each_text(*goals, [&](const std::string& text, const Value& at) {
      if (state_.find_text(text) != nullptr) return;
      std::vector<std::string> names;
      for (const StageText& known : state_.texts) names.push_back(known.name);
      faults_.add(at.spot, fmt::format("experiment.goals: the recipe has no stage '{}'{}", text,
                                       did_you_mean(nearest(text, names))));
    });
  }

  Recipe::State& state_;
  const Language& language_;
  Faults& faults_;
  const std::set<std::string>& poisoned_;
  bool circle_ = false;
  std::size_t text_bytes_ = 0;
  std::size_t instances_ = 0;
};

}  // namespace

std::vector<const Instance*> resolve_reference(const std::vector<Stage>& stages,
                                               const Reference& reference, const Instance& from) {
  std::vector<const Instance*> out;
  for (const Stage& stage : stages) {
    if (stage.name != reference.stage) continue;
    for (const Instance& instance : stage.instances) out.push_back(&instance);
  }
  if (from.each.empty()) return out;
  for (const Instance* instance : out) {
    if (instance->each == from.each) return {instance};
  }
  return out;
}

void make_stages(Recipe::State& state, Faults& faults, const std::set<std::string>& poisoned) {
  StageMaker(state, faults, poisoned).run();
}

}  // namespace xp::recipe
