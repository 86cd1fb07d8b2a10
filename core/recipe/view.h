#pragma once

#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "core/base/error.h"
#include "core/recipe/options.h"
#include "core/recipe/value.h"

namespace xp::recipe {

/// One section's keys as the layers left them; keys that are not there have their default.
using Section = Table;

namespace detail {

void assign(bool& out, const Value& value);
void assign(int64_t& out, const Value& value);
void assign(double& out, const Value& value);  // takes an integer as well
void assign(std::string& out, const Value& value);
void assign(Inputs& out, const Value& value);
void assign(IntOrList& out, const Value& value);

template <class E>
requires std::is_enum_v<E>
void assign(E& out, const Value& value) {
  const std::string* name = value.get<std::string>();
  XP_CHECK(name != nullptr, "an enum that is no string passed the recipe check");
  const auto parsed = parse_enum<E>(*name);
  XP_CHECK(parsed.has_value(), "the unknown name '" + *name + "' passed the recipe check");
  out = *parsed;
}

template <class T>
concept IsSection = requires {
  T::kSection;
};

template <class T>
T build_section(const Section& section);

template <class T>
void assign(std::vector<T>& out, const Value& value) {
  const Array* array = value.get<Array>();
  XP_CHECK(array != nullptr, "a list that is no array passed the recipe check");
  out.clear();
  for (const Value& item : *array) {
    if constexpr (IsSection<T>) {
      const Table* table = item.get<Table>();
      XP_CHECK(table != nullptr, "a section that is no table passed the recipe check");
      out.push_back(build_section<T>(*table));
    } else {
      T element{};
      assign(element, item);
      out.push_back(std::move(element));
    }
  }
}

/// Reads the kind alone.
template <class T>
struct KindReader {
  const Section& section;
  T& out;
  template <class M>
  void kind(std::string_view key, M T::*, const Spec&, std::string_view) {
    const auto found = section.find(key);
    if (found == section.end()) return;
    const std::string& name = *found->second.template get<std::string>();
    if constexpr (requires { T::parse_kind(name); }) {
      const auto parsed = T::parse_kind(name);
      XP_CHECK(parsed.has_value(), "the unknown name '" + name + "' passed the recipe check");
      out = T::of_kind(*parsed);
    } else {
      const auto parsed = parse_enum<M>(name);
      XP_CHECK(parsed.has_value(), "the unknown name '" + name + "' passed the recipe check");
      out = T::of_kind(*parsed);
    }
  }
  template <class M>
  void field(std::string_view, M T::*, const Spec&, std::string_view) {}
};

template <class T>
struct Filler {
  const Section& section;
  T& out;
  template <class M>
  void kind(std::string_view key, M T::*member, const Spec& spec, std::string_view help) {
    field(key, member, spec, help);
  }
  template <class M>
  [[gnu::noinline]] void field(std::string_view key, M T::*member, const Spec&, std::string_view) {
    const auto found = section.find(key);
    if (found != section.end()) assign(out.*member, found->second);
  }
};

template <class T>
T build_section(const Section& section) {
  T out{};
  if constexpr (requires { typename T::Kind; }) {
    KindReader<T> reader{section, out};
    T::describe(reader);
  }
  Filler<T> filler{section, out};
  T::describe(filler);
  return out;
}

}  // namespace detail

/// One stage's merged configuration: the recipe's layers with the stage's `with` and `each` on top.
/// For a stage with a checkpoint made in the recipe, [model] and [frontend] are those of the stage
/// that made it. Values are checked (types, ranges, names); paths are absolute; references to
/// stages are still text. The view of a `Recipe` lives as long as it likes: it is a value.
class View {
 public:
  std::string stage;  ///< name of the stage, "" for the recipe as a whole
  std::string kind;   ///< kind of the stage
  Section keys;       ///< the stage's own keys: checkpoint, split, inputs, also
  std::map<std::string, Section, std::less<>> sections;

  /// For a stage with a checkpoint: the stage or published weights that [model] and [frontend] come
  /// from; "" when they are the recipe's own.
  std::string carried_from;
  bool faulty =
      false;  ///< a fault was found in what it is made of; only while faults are collected

  /// What a layer set; nullptr for a default.
  const Value* find(std::string_view section, std::string_view key) const;
  /// The section's options: what the layers set over the defaults of its kind.
  template <class T>
  T build(std::string_view section = T::kSection) const {
    const auto found = sections.find(section);
    return detail::build_section<T>(found == sections.end() ? Section{} : found->second);
  }
  /// A stage key as text, "" when it is not there.
  std::string key_text(std::string_view key) const;
  /// A stage key that takes a string or an array of strings.
  Inputs key_inputs(std::string_view key) const;
};

}  // namespace xp::recipe
