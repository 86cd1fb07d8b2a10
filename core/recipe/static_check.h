#pragma once

#include <set>
#include <string>

#include "core/recipe/language.h"
#include "core/recipe/source.h"

namespace xp::recipe {

/// Instances that `each` may make of a stage, and values that all specs of a recipe may have.
inline constexpr std::size_t kMaxInstances = 1000;
inline constexpr std::size_t kMaxSpecValues = 1'000'000;

/// Faults that a layer has by itself: unknown sections and keys, wrong types, values out of range,
/// specs that do not parse. What is at fault is taken out of the tree, so that the rest can be
/// resolved, and its section's name is put into `poisoned`, so that nothing is said about what
/// follows from the fault.
class StaticCheck {
 public:
  StaticCheck(const Language& language, Faults& faults, std::set<std::string>& poisoned)
      : language_(language), faults_(faults), poisoned_(poisoned) {}

  /// A whole file: sections, stages, sweep and variants (extends is gone by then).
  void document(Table& tree);
  /// A variant, or one `--set`.
  void body(Table& tree, bool variant);

 private:
  void variants(Value& value);
  void stages(Value& value);
  void stage(const std::string& name, Table& stage);
  void with(const std::string& stage, Value& value);
  void each(Value& value);
  void sweep(Value& value);
  void specs(Value& value, const std::string& where);
  void section(const SectionSpec& spec, Value& value, const std::string& where);
  void unknown_key(const SectionSpec& spec, const std::string& key, const Value& value,
                   const std::string& where);

  const Language& language_;
  Faults& faults_;
  std::set<std::string>& poisoned_;
  std::size_t spec_values_ = 0;  ///< made of specs so far
};

/// The leaves of a table of dotted keys, in the order in which they were written: {"tome.r" = 1}
/// and {tome.r = 1} are the same.
std::vector<std::pair<std::string, Value>> flatten(const Table& table);

}  // namespace xp::recipe
