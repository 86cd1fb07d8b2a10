#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/recipe/language.h"
#include "core/recipe/source.h"

namespace xp::recipe {

/// Replaces ${section.key} and ${env:NAME:-default}, and makes paths absolute. References look at
/// the base tree (the layers before any stage's `with`), so a reference is what `exp recipe show`
/// prints for that key.
class Expander {
 public:
  using Environment = std::function<std::optional<std::string>(const std::string&)>;

  Expander(const Language& language, const Table& base, const Sources& sources, Faults& faults,
           Environment environment, std::filesystem::path working_folder);

  /// The value expanded, checked against the field, its paths absolute. nullopt after a fault was
  /// added.
  std::optional<Value> expand(const FieldSpec& field, const Value& value);

 private:
  std::optional<Value> expand_string(const FieldSpec& field, const Value& value);
  /// The text of one ${...}, typed.
  std::optional<Value> lookup(const std::string& name, const Value& at);
  std::optional<Value> environment_value(const std::string& name, const Value& at);
  std::optional<Value> key_value(const std::string& dotted, const Value& at);
  Value with_paths(const FieldSpec& field, Value value, bool from_environment) const;

  const Language& language_;
  const Table& base_;
  const Sources& sources_;
  Faults& faults_;
  Environment environment_;
  std::filesystem::path working_folder_;
  std::map<std::string, std::optional<Value>> known_;
  std::vector<std::string> stack_;  ///< keys being expanded, for cycles
  std::size_t expanded_ = 0;        ///< characters of strings with references, references put in
};

}  // namespace xp::recipe
