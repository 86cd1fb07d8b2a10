#pragma once

#include <deque>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/error.h"
#include "core/recipe/recipe.h"
#include "core/recipe/value.h"

namespace xp::recipe {

/// A text that values were read from: a file, or an argument of the command line.
struct Source {
  std::string name;              ///< as the user knows it: "recipes/a.toml", "--set"
  std::filesystem::path folder;  ///< that relative paths are relative to
  std::filesystem::path file;    ///< "" for an argument
  std::string text;
};

/// Every text of a recipe, and the faults found in them.
class Sources {
 public:
  int add(Source source);
  const Source& at(int index) const { return sources_[static_cast<std::size_t>(index)]; }
  int size() const { return static_cast<int>(sources_.size()); }
  /// With the line's text, for the caret. A spot of no source gives an empty place.
  Place place(const Spot& spot) const;

 private:
  std::deque<Source> sources_;
};

/// Faults in the order of their places. The same fault is kept once. After kMost the rest is only
/// counted: what has a thousand faults is no recipe.
class Faults {
 public:
  static constexpr std::size_t kMost = 1000;

  explicit Faults(const Sources& sources) : sources_(sources) {}
  void add(const Spot& spot, std::string message);
  bool any() const { return !items_.empty(); }
  /// Nothing more is kept, so nothing more needs to be looked for.
  bool full() const { return items_.size() >= kMost; }
  /// Faults told so far, those told twice counted twice.
  std::size_t count() const { return told_; }
  /// Sorted by source, line and column; a last one without a place says that there are more.
  std::vector<RecipeError::Fault> sorted() const;

 private:
  struct Item {
    Spot spot;
    std::string message;
  };
  const Sources& sources_;
  std::vector<Item> items_;
  std::size_t told_ = 0;
};

}  // namespace xp::recipe
