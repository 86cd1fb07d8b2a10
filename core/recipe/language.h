#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/error.h"
#include "core/recipe/options.h"
#include "core/recipe/options_io.h"
#include "core/recipe/value.h"
#include "core/recipe/view.h"

/// The recipe language as data: sections, keys, kinds and stage kinds, made from the option structs
/// by `describe_section`. The resolver, the JSON Schema, the reference and `explain` read it.
namespace xp::recipe {

enum class Leaf {
  kBool,
  kInt,
  kFloat,
  kString,
  kEnum,
  kIntOrList,
  kInputs,
  kInts,
  kFloats,
  kStrings,
  kEnums,
  kSections,
  kStringLists
};

struct FieldSpec {
  std::string section;
  std::string key;
  Leaf leaf = Leaf::kString;
  Spec spec;
  std::string help;
  bool is_kind = false;
  std::vector<std::string>
      names;  ///< kEnum, kEnums: the allowed names; kString: known names, for suggestions
  std::vector<Value> defaults;  ///< one for each kind of the section, or one

  std::string dotted() const { return section + "." + key; }
  const Value& default_of(std::size_t kind) const {
    return defaults[defaults.size() == 1 ? 0 : kind];
  }
  /// What may be written, for messages and the reference: "a float in (0, 100]", "one of bce, ce".
  std::string expects() const;
  /// nullopt when the value may stand here, else "expected ..., received ...". A string with "${"
  /// in it stands for any value until it is expanded, unless `expanded`.
  std::optional<std::string> fault(const Value& value, bool expanded) const;
};

struct SectionSpec {
  std::string name;
  std::string help;
  std::vector<FieldSpec> fields;
  std::string kind_key;  ///< "" for a section without kinds
  std::vector<std::string> kinds;
  std::optional<std::size_t> (*parse_kind)(std::string_view) = nullptr;
  std::optional<std::size_t> default_kind;  ///< nullopt when the kind key is required

  const FieldSpec* find(std::string_view key) const;
  /// The kind that the section's values choose; nullopt for a section without kinds or when it is
  /// not known.
  std::optional<std::size_t> kind_of(const Section& section) const;
  /// True when the section's kind has the key (always, for a section without kinds or of unknown
  /// kind).
  bool has(const FieldSpec& field, const Section& section) const;
  /// The value set, or the default of the section's kind.
  const Value& effective(const FieldSpec& field, const Section& section) const;
  std::vector<std::string> keys() const;
};

struct StageKindSpec {
  std::string name;
  std::string help;
  std::vector<std::string> sections;    ///< that it may read
  std::vector<std::string> keys;        ///< of [stages.NAME], besides do, with and each
  std::vector<std::string> required;    ///< of `keys`
  std::vector<std::string> attributes;  ///< for ${stages.NAME.ATTR}
  bool goal = false;
  /// Sections that a checkpoint brings with it, and the keys of these that `with` may still set.
  std::vector<std::string> carried;
  std::vector<std::string> adaptable;
  /// Whether a stage with this view reads a key of one of its sections (kd when disabled: only
  /// kd.enabled).
  bool (*reads)(const View& view, std::string_view section, std::string_view key) = nullptr;

  bool may_read(std::string_view section) const;
  bool carries(std::string_view section) const;
};

class Recipe;

/// Collects faults; a check function reports through it.
class FaultSink {
 public:
  virtual ~FaultSink() = default;
  virtual void fault(const Value* at, std::string message) = 0;
};

class Language {
 public:
  std::vector<SectionSpec> sections;  ///< in the order of the reference
  SectionSpec stage_keys;             ///< do, checkpoint, split, inputs, also
  SectionSpec sweep;                  ///< [sweep] without `params`
  std::vector<StageKindSpec> stage_kinds;
  /// Puts [model] and [frontend] of published weights into a view; false for a name that is not
  /// known.
  std::function<bool(const std::string& alias, View& view)> carry;
  /// Cross-field rules, run when the recipe could be resolved.
  std::function<void(const Recipe&, FaultSink&)> check;

  const SectionSpec* find_section(std::string_view name) const;
  const StageKindSpec* find_stage_kind(std::string_view name) const;
  /// "tome.r" or "stages.train.with.tome.r", "stages.eval.split", "sweep.trials". nullptr when
  /// there is no such key.
  const FieldSpec* find_key(std::string_view dotted) const;
  /// Every "section.key".
  std::vector<std::string> all_keys() const;
  std::vector<std::string> section_names() const;
  /// "; did you mean 'optimiser.lr'?" for a key that does not exist, or "": the nearest key, else a
  /// section that has a key of that name.
  std::string hint_for(std::string_view dotted) const;
};

namespace detail {

template <class M>
struct LeafOf;
template <>
struct LeafOf<bool> {
  static constexpr Leaf value = Leaf::kBool;
};
template <>
struct LeafOf<int64_t> {
  static constexpr Leaf value = Leaf::kInt;
};
template <>
struct LeafOf<double> {
  static constexpr Leaf value = Leaf::kFloat;
};
template <>
struct LeafOf<std::string> {
  static constexpr Leaf value = Leaf::kString;
};
template <>
struct LeafOf<IntOrList> {
  static constexpr Leaf value = Leaf::kIntOrList;
};
template <>
struct LeafOf<Inputs> {
  static constexpr Leaf value = Leaf::kInputs;
};
template <>
struct LeafOf<std::vector<int64_t>> {
  static constexpr Leaf value = Leaf::kInts;
};
template <>
struct LeafOf<std::vector<double>> {
  static constexpr Leaf value = Leaf::kFloats;
};
template <>
struct LeafOf<std::vector<std::string>> {
  static constexpr Leaf value = Leaf::kStrings;
};
template <>
struct LeafOf<std::vector<std::vector<std::string>>> {
  static constexpr Leaf value = Leaf::kStringLists;
};
template <class E>
requires std::is_enum_v<E>
struct LeafOf<E> {
  static constexpr Leaf value = Leaf::kEnum;
};
template <class E>
requires std::is_enum_v<E>
struct LeafOf<std::vector<E>> {
  static constexpr Leaf value = Leaf::kEnums;
};
template <class T>
requires IsSection<T>
struct LeafOf<std::vector<T>> {
  static constexpr Leaf value = Leaf::kSections;
};

template <class M>
std::vector<std::string> names_for() {
  std::vector<std::string> out;
  if constexpr (std::is_enum_v<M>) {
    for (const std::string_view name : names_of(M{})) out.emplace_back(name);
  } else if constexpr (LeafOf<M>::value == Leaf::kEnums) {
    for (const std::string_view name : names_of(typename M::value_type{})) out.emplace_back(name);
  }
  return out;
}

template <class T>
struct SpecMaker {
  SectionSpec& out;
  const std::vector<T>& by_kind;  ///< default-constructed, or one a kind

  template <class M>
  void kind(std::string_view key, M T::*member, const Spec& spec, std::string_view help) {
    out.kind_key = key;
    if constexpr (std::is_enum_v<M>) {
      if (!spec.required) out.default_kind = static_cast<std::size_t>(T{}.*member);
    }
    field(key, member, spec, help);
    out.fields.back().is_kind = true;
    out.fields.back().defaults = {to_value(T{}.*member)};
    if constexpr (requires { T::known_kinds(); }) out.fields.back().names = T::known_kinds();
  }
  template <class M>
  void field(std::string_view key, M T::*member, const Spec& spec, std::string_view help) {
    FieldSpec field;
    field.section = out.name;
    field.key = key;
    field.leaf = LeafOf<M>::value;
    field.spec = spec;
    field.help = help;
    field.names = names_for<M>();
    for (const T& options : by_kind) field.defaults.push_back(to_value(options.*member));
    out.fields.push_back(std::move(field));
  }
};

}  // namespace detail

/// The description of a section's struct as data.
template <class T>
SectionSpec describe_section() {
  SectionSpec out;
  out.name = T::kSection;
  out.help = T::kHelp;
  std::vector<T> by_kind;
  if constexpr (requires { typename T::Kind; }) {
    using Kind = typename T::Kind;
    constexpr auto names = names_of(Kind{});
    for (std::size_t i = 0; i < names.size(); ++i) {
      out.kinds.emplace_back(names[i]);
      by_kind.push_back(T::of_kind(static_cast<Kind>(i)));
    }
    out.parse_kind = [](std::string_view name) -> std::optional<std::size_t> {
      std::optional<Kind> kind;
      if constexpr (requires { T::parse_kind(name); }) {
        kind = T::parse_kind(name);
      } else {
        kind = parse_enum<Kind>(name);
      }
      return kind ? std::optional<std::size_t>(static_cast<std::size_t>(*kind)) : std::nullopt;
    };
  } else {
    by_kind.emplace_back();
  }
  detail::SpecMaker<T> maker{out, by_kind};
  T::describe(maker);
  return out;
}

}  // namespace xp::recipe
