#include "core/recipe/recipe.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/base/digest.h"
#include "core/recipe/merge.h"
#include "core/recipe/state.h"

namespace xp::recipe {
namespace {

std::string all_of(const std::vector<RecipeError::Fault>& faults) {
  std::string out;
  for (const auto& fault : faults)
    out += (out.empty() ? "" : "\n") + render(fault.place, fault.message);
  return out;
}

}  // namespace

RecipeError::RecipeError(std::vector<Fault> faults)
    : Error(all_of(faults)), faults_(std::move(faults)) {}

bool accepts_objective(std::string_view text) {
  if (text.empty()) return true;
  if (text.substr(0, 4) != "max:" && text.substr(0, 4) != "min:") return false;
  const std::size_t dot = text.find('.');
  return dot != std::string_view::npos && dot > 4 && dot + 1 < text.size();
}

bool StageText::inherits(std::string_view section) const {
  const auto found = keys.find("inherit");
  const bool* all = found == keys.end() ? nullptr : found->second.get<bool>();
  return all == nullptr || *all || section == "dataset" || section == "eval";
}

const StageText* Recipe::State::find_text(std::string_view stage) const {
  const auto found = std::find_if(texts.begin(), texts.end(),
                                  [stage](const StageText& t) { return t.name == stage; });
  return found == texts.end() ? nullptr : &*found;
}

bool Recipe::State::reads(const Stage& stage, const Instance& instance,
                          const FieldSpec& field) const {
  const StageKindSpec& kind = kind_of(stage);
  if (!kind.may_read(field.section)) return false;
  if (kind.carries(field.section) && !instance.view.carried_from.empty()) return false;
  const auto section = instance.view.sections.find(field.section);
  const SectionSpec& spec = *language->find_section(field.section);
  if (section != instance.view.sections.end() && !spec.has(field, section->second)) return false;
  return kind.reads(instance.view, field.section, field.key);
}

bool Recipe::State::pins(const Stage& stage, const FieldSpec& field) const {
  const StageText& text = *find_text(stage.name);
  if (!text.inherits(field.section)) return true;
  for (const auto& [key, values] : text.each) {
    if (key == field.dotted()) return true;
  }
  const auto with = text.with.find(field.section);
  if (with == text.with.end()) return false;
  if (with->second.count(field.key) != 0) return true;
  const auto below = base.sections.find(field.section);
  static const Section kEmpty;
  return changes_kind(*language->find_section(field.section),
                      below == base.sections.end() ? kEmpty : below->second, with->second);
}

std::optional<std::string> Recipe::State::why_each_outdoes(std::string_view key,
                                                           std::string_view flag) const {
  const std::vector<std::string> words = split_dots(key);
  if (words.size() != 5 || words[0] != "stages" || words[2] != "with") return std::nullopt;
  const StageText* text = find_text(words[1]);
  const std::string inner = words[3] + "." + words[4];
  const bool by_each =
      text != nullptr && std::any_of(text->each.begin(), text->each.end(),
                                     [&inner](const auto& axis) { return axis.first == inner; });
  if (!by_each) return std::nullopt;
  return fmt::format("{} {} has no effect: the stage's `each` sets {}", flag, key, inner);
}

std::optional<std::string> Recipe::State::why_unsettable(std::string_view key,
                                                         std::string_view flag,
                                                         bool unread_ok) const {
  const FieldSpec* field = language->find_key(key);
  if (field == nullptr) {
    return fmt::format("{} {}: there is no such key{}", flag, key, language->hint_for(key));
  }
  if (const auto why = why_each_outdoes(key, flag)) return why;
  const bool in_section = language->find_section(key.substr(0, key.find('.'))) != nullptr;
  if (!in_section || (field->section == "experiment" && field->key != "seed")) return std::nullopt;
  std::string pinned_by;
  for (const Stage& stage : stages) {
    const auto reading = [&](const Instance& instance) { return reads(stage, instance, *field); };
    if (std::none_of(stage.instances.begin(), stage.instances.end(), reading)) continue;
    if (!pins(stage, *field)) return std::nullopt;
    if (pinned_by.empty()) pinned_by = stage.name;
  }
  if (pinned_by.empty() && unread_ok) return std::nullopt;
  if (pinned_by.empty()) {
    return fmt::format("{} {} has no effect: no stage of this recipe reads it as it stands", flag,
                       key);
  }
  return fmt::format(
      "{} {} has no effect: every stage that reads it pins it; did you mean stages.{}.with.{}?",
      flag, key, pinned_by, key);
}

Recipe::Recipe(std::unique_ptr<State> state) : state_(std::move(state)) {}
Recipe::Recipe(Recipe&&) noexcept = default;
Recipe& Recipe::operator=(Recipe&&) noexcept = default;
Recipe::~Recipe() = default;

const std::filesystem::path& Recipe::path() const { return state_->path; }
const std::string& Recipe::name() const { return state_->name; }
const std::vector<std::filesystem::path>& Recipe::files() const { return state_->files; }
const LoadOptions& Recipe::applied() const { return state_->applied; }
const std::vector<Stage>& Recipe::stages() const { return state_->stages; }
const View& Recipe::base() const { return state_->base; }
const SweepSection& Recipe::sweep() const { return state_->sweep; }
std::vector<VariantInfo> Recipe::variants() const { return state_->variants; }

const Stage* Recipe::find_stage(std::string_view name) const {
  const auto found = std::find_if(stages().begin(), stages().end(),
                                  [name](const Stage& s) { return s.name == name; });
  return found == stages().end() ? nullptr : &*found;
}

std::vector<std::string> Recipe::goals() const {
  std::vector<std::string> out;
  if (const Value* goals = state_->base.find("experiment", "goals")) detail::assign(out, *goals);
  if (!out.empty()) return out;
  for (const Stage& stage : stages()) {
    if (state_->kind_of(stage).goal) out.push_back(stage.name);
  }
  if (!out.empty()) return out;
  for (const Stage& stage : stages()) out.push_back(stage.name);
  return out;
}

std::vector<const Instance*> Recipe::resolve(const Reference& reference,
                                             const Instance& from) const {
  return resolve_reference(stages(), reference, from);
}

std::string Recipe::show() const { return show_of(*state_); }

std::string Recipe::canonical() const { return canonical_of(*state_); }

const std::string& Recipe::hash() const {
  if (state_->hash.empty()) state_->hash = sha256(canonical());
  return state_->hash;
}

std::vector<Setting> Recipe::explain(std::string_view key) const {
  return explain_key(*state_, key);
}

void Recipe::check_settable(std::string_view key, std::string_view flag) const {
  if (const auto why = state_->why_unsettable(key, flag, false)) throw Error(*why);
}

}  // namespace xp::recipe
