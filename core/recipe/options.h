#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// How an option struct describes itself, once: parsing, ranges, help, JSON Schema, reference, hash
/// and sweep axes all come from one `describe`.
///
///   struct TomeOptions {
///     static constexpr std::string_view kSection = "tome";
///     static constexpr std::string_view kHelp = "token merging between attention and MLP";
///     bool prop_attn = true;
///     template <class Visitor>
///     static void describe(Visitor& v) {
///       v.field("prop_attn", &TomeOptions::prop_attn, {}, "weigh attention by token size");
///     }
///   };
///
/// A section with kinds (frontend, sampler, ...) has `using Kind = ENUM`, one `v.kind(key, member,
/// spec, help)` and `static T of_kind(Kind)` with that kind's defaults. A stage's struct is made of
/// sections by `v.part(name, member)`, the member being a struct or an optional of one (absent =
/// the section is not read).
///
/// Member types: bool, int64_t, double, std::string, an enum with names, std::vector of these,
/// Inputs, IntOrList, and a vector of sections (`dataset.also`).
namespace xp::recipe {

/// What a key's value may change: R, S, L in docs/recipe_reference.md.
enum class HashClass {
  kResult,  ///< numbers: in the recipe's hash and in stage keys
  kSpeed,   ///< speed or place: never hashed; executors may set it
  kLabel    ///< names and notes: never hashed
};

inline constexpr double kNoLimit = std::numeric_limits<double>::infinity();

/// What may stand in a field. The order is the order in which designated initialisers must be
/// written.
struct Spec {
  double min = -kNoLimit;
  double max = kNoLimit;
  bool open_min = false;       ///< `min` itself is excluded
  bool open_max = false;       ///< `max` itself is excluded
  std::string_view unit = "";  ///< "Hz", "s", "epochs"
  HashClass hash = HashClass::kResult;
  std::string_view only = "";  ///< kinds that have this key, separated by blanks; empty = all
  bool required = false;       ///< has no default
  bool sweepable = true;
  bool path =
      false;  ///< a file or folder: relative to the file that sets it; its content is hashed
  bool input = false;             ///< may be `${stages.NAME.ATTR}`, or an alias, or a path
  std::string_view choices = "";  ///< allowed strings, separated by blanks; empty = any
  std::string_view grammar =
      "";  ///< how a free string is written, for messages: "last, max:val.METRIC or min:val.loss"
  bool (*accepts)(std::string_view) = nullptr;  ///< the grammar's test
  /// The value, as TOML, that stands for "this key did not exist yet": `false`, `0`, `"normal"`.
  /// While the key has it, it is in no stage key and in no hash, whatever the default is; a
  /// checkpoint written before the key was there reads as it. Every key that is added has one, and
  /// it never changes. Empty for the keys of before (tests/schema/off_test.cpp lists them).
  std::string_view off = "";
};

/// One or several references, aliases or paths: written as a string or an array of strings.
struct Inputs {
  std::vector<std::string> list;
  bool empty() const { return list.empty(); }
  bool operator==(const Inputs&) const = default;
};

/// One number, or an array of numbers: the type of `tome.r` alone.
struct IntOrList {
  bool is_list = false;
  int64_t value = 0;
  std::vector<int64_t> list;

  /// True when any number is above 0.
  bool any() const {
    for (const int64_t r : list) {
      if (is_list && r > 0) return true;
    }
    return !is_list && value > 0;
  }
  bool operator==(const IntOrList&) const = default;
};

/// A reference to a stage: "${stages.teacher.last}". Attributes: output (all kinds); best, last,
/// average.
struct Reference {
  std::string stage;
  std::string attribute;
  bool operator==(const Reference&) const = default;
};

/// nullopt when `text` is not a reference to a stage.
std::optional<Reference> parse_reference(std::string_view text);

/// True for what names a file rather than an alias: has a slash, starts with ~ or ., or ends in a
/// known extension (.pt .pth .safetensors .npy .csv .json .pkl .ckpt .hdf .h5).
bool looks_like_path(std::string_view text);

/// The enumerator of that name; nullopt when there is none. Enumerators count from 0 in the order
/// of names.
template <class E>
std::optional<E> parse_enum(std::string_view name) {
  constexpr auto names = names_of(E{});
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i] == name) return static_cast<E>(i);
  }
  return std::nullopt;
}

template <class E>
constexpr std::string_view enum_name(E value) {
  return names_of(E{})[static_cast<std::size_t>(value)];
}

}  // namespace xp::recipe

/// Names of an enum's values in the recipe, in the order of the enumerators; stands in the enum's
/// namespace.
#define XP_ENUM_NAMES(Enum, ...) \
  constexpr auto names_of(Enum) { return std::to_array<std::string_view>({__VA_ARGS__}); }
