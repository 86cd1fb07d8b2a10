#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/recipe/options.h"
#include "core/recipe/value.h"
#include "core/recipe/view.h"

/// What can be done with any described struct: its canonical text (the content of stage keys and
/// hashes), the stages and files that it refers to, and TOML text there and back (what a checkpoint
/// carries).
namespace xp::recipe {

/// A string of an option struct that names a stage's output, an alias or a file.
struct InputUse {
  std::string key;  ///< "kd.logits", "checkpoint"
  std::string text;
  std::optional<Reference> reference;  ///< set when `text` is one
  bool path = false;                   ///< a file or folder; else a reference or an alias
};

namespace detail {

Value to_value(bool v);
Value to_value(int64_t v);
Value to_value(double v);
Value to_value(const std::string& v);
Value to_value(const Inputs& v);
Value to_value(const IntOrList& v);

template <class E>
requires std::is_enum_v<E> Value to_value(E v) { return Value(std::string(enum_name(v))); }

template <class T>
Section to_section(const T& options);

template <class T>
Value to_value(const std::vector<T>& v) {
  Array array;
  for (const auto& item : v) {
    if constexpr (IsSection<T>) {
      array.push_back(Value(to_section(item)));
    } else {
      array.push_back(to_value(static_cast<const T&>(item)));
    }
  }
  return Value(std::move(array));
}

/// True when the kind `kind` has a key of this spec.
bool has_key(const Spec& spec, std::string_view kind);

/// True when the key's value stands for "not there": it is left out of keys and hashes.
bool is_off(const Spec& spec, const Value& value);

/// Name of a struct's kind, "" for a struct without kinds.
template <class T>
struct KindNamer {
  const T& options;
  std::string name;
  template <class M>
  void kind(std::string_view, M T::*member, const Spec&, std::string_view) {
    if constexpr (requires { T::parse_kind(std::string_view()); }) {
      const auto parsed = T::parse_kind(options.*member);
      if (parsed) name = enum_name(*parsed);
    } else {
      name = enum_name(options.*member);
    }
  }
  template <class M>
  void field(std::string_view, M T::*, const Spec&, std::string_view) {}
};

template <class T>
std::string kind_name(const T& options) {
  if constexpr (requires { typename T::Kind; }) {
    KindNamer<T> namer{options, {}};
    T::describe(namer);
    return namer.name;
  } else {
    return "";
  }
}

template <class M>
struct IsSectionList : std::false_type {};
template <class T>
requires IsSection<T>
struct IsSectionList<std::vector<T>> : std::true_type {
};

/// One type for all visits, and no inlining below: a section is compiled once a walk, not once a
/// use and leaf.
using Visit = std::function<void(const std::string& key, Value value, const Spec& spec)>;

/// Calls `visit` for every leaf that the struct's kind has, parts inside with "part." in front.
/// With `kDeep` a list of sections is walked as well ("also.0.root"), else it is one leaf, an array
/// of tables.
template <bool kDeep, class T>
struct Walker {
  const T& options;
  std::string prefix;
  std::string kind_;
  const Visit& visit;
  template <class M>
  void kind(std::string_view key, M T::*member, const Spec& spec, std::string_view help) {
    field(key, member, spec, help);
  }
  template <class M>
  [[gnu::noinline]] void field(std::string_view key, M T::*member, const Spec& spec,
                               std::string_view) {
    if (!has_key(spec, kind_)) return;
    if constexpr (kDeep && IsSectionList<M>::value) {
      for (std::size_t i = 0; i < (options.*member).size(); ++i) {
        walk_part(std::string(key) + "." + std::to_string(i), (options.*member)[i]);
      }
    } else {
      visit(prefix + std::string(key), to_value(options.*member), spec);
    }
  }
  template <class M>
  void part(std::string_view name, M T::*member) {
    walk_part(name, options.*member);
  }
  template <class P>
  void walk_part(std::string_view name, const std::optional<P>& part) {
    if (part) walk_part(name, *part);
  }
  template <class P>
  void walk_part(std::string_view name, const P& part) {
    Walker<kDeep, P> walker{part, prefix + std::string(name) + ".", kind_name(part), visit};
    P::describe(walker);
  }
};

template <bool kDeep, class T>
void walk(const T& options, const Visit& visit) {
  Walker<kDeep, T> walker{options, "", kind_name(options), visit};
  T::describe(walker);
}

template <class T>
Section to_section(const T& options) {
  Section out;
  walk<false>(options, [&out](const std::string& key, Value value, const Spec&) {
    out[key] = std::move(value);
  });
  return out;
}

void add_canonical(std::string& out, const std::string& key, const Value& value, const Spec& spec);
void add_inputs(std::vector<InputUse>& out, const std::string& key, const Value& value,
                const Spec& spec);
Section parse_section(std::string_view toml);
void fill_off(Section& section, std::string_view key, const Spec& spec);

/// Gives every key that a section does not hold its `off` value.
template <class T>
struct OffFiller {
  Section& section;
  template <class M>
  void kind(std::string_view key, M T::*member, const Spec& spec, std::string_view help) {
    field(key, member, spec, help);
  }
  template <class M>
  void field(std::string_view key, M T::*, const Spec& spec, std::string_view) {
    fill_off(section, key, spec);
  }
};

}  // namespace detail

/// One line "key = value" for each result leaf that the struct's kind has, in the order of the
/// description. Speed and label leaves are left out, and leaves at their `off` value. A reference
/// to a stage and a path stand as <stage> and <path>: their keys and digests are the caller's to
/// add (inputs_of).
template <class T>
std::string canonical_text(const T& options) {
  std::string out;
  detail::walk<true>(options, [&out](const std::string& key, const Value& value, const Spec& spec) {
    detail::add_canonical(out, key, value, spec);
  });
  return out;
}

/// Every stage, alias and path that the struct names, in the order of the description; empty
/// strings and "none" are left out. `dataset.also` is looked into.
template <class T>
std::vector<InputUse> inputs_of(const T& options) {
  std::vector<InputUse> out;
  detail::walk<true>(options, [&out](const std::string& key, const Value& value, const Spec& spec) {
    detail::add_inputs(out, key, value, spec);
  });
  return out;
}

/// A section as TOML, one "key = value" a line, every key of its kind: what a checkpoint carries.
template <class T>
std::string to_text(const T& options) {
  std::string out;
  detail::walk<false>(options, [&out](const std::string& key, const Value& value, const Spec&) {
    out += key + " = " + to_toml(value) + "\n";
  });
  return out;
}

/// The reverse of `to_text` for a section. Keys that are missing are as they were before they
/// existed (`Spec::off`), else have their defaults; unknown keys are left alone, so that a newer
/// program's checkpoint can be read. Throws Error when it is not TOML.
template <class T>
T from_text(std::string_view toml) {
  Section section = detail::parse_section(toml);
  detail::OffFiller<T> filler{section};
  T::describe(filler);
  return detail::build_section<T>(section);
}

}  // namespace xp::recipe
