#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace xp {

/// What a process of `exp` returns to the shell. docs/exit_codes.md is the same list; a test
/// compares.
enum class Exit : int {
  kOk = 0,
  kFailed = 1,      ///< the work itself failed (diverged, disk full, out of memory)
  kUsage = 2,       ///< the command line or the recipe is wrong; nothing was started
  kData = 3,        ///< data or a file that the recipe names is missing or broken
  kInternal = 4,    ///< a bug in exp
  kPreempted = 75,  ///< stopped by SIGTERM or SIGUSR2 after a checkpoint; the same command goes on
  kInterrupted = 130  ///< stopped by Ctrl-C; the same command goes on
};

/// A place in a text that the user wrote: a recipe, a CSV, a `--set` argument.
struct Place {
  std::string file;  ///< path as the user knows it, or "--set"; empty = no place
  int line = 0;      ///< 1-based, 0 = the whole file
  int column = 0;    ///< 1-based, 0 = the whole line
  std::string text;  ///< the line itself, drawn under the message with a caret at `column`
};

/// The user's mistake or the world's: what happened, where, what to do. `main` prints it without a
/// stack. Bugs of ours go through XP_CHECK instead; absence is std::optional.
class Error : public std::runtime_error {
 public:
  explicit Error(std::string message, Exit code = Exit::kUsage);
  Error(Place place, std::string message, Exit code = Exit::kUsage);

  Exit code() const { return code_; }
  const Place& place() const { return place_; }
  /// The message without its place and caret.
  const std::string& message() const { return message_; }

 private:
  Place place_;
  std::string message_;
  Exit code_;
};

/// "file:line:column: message", then the line and a caret where the place has a text.
std::string render(const Place& place, std::string_view message);

/// The candidate nearest to `word` by edit distance (Damerau-Levenshtein), or "" when none is near
/// enough (more than a third of the word's letters differ, at least 1 may).
template <class Range>
std::string nearest(std::string_view word, const Range& candidates);

/// "; did you mean 'lr'?" for what nearest() found, "" for nothing.
std::string did_you_mean(const std::string& near);

/// Edit distance with transpositions of neighbours; stops counting above `limit`.
int edit_distance(std::string_view a, std::string_view b, int limit);

namespace detail {
[[noreturn]] void check_failed(const char* file, int line, const char* condition,
                               const std::string& message);
}

template <class Range>
std::string nearest(std::string_view word, const Range& candidates) {
  int best = static_cast<int>(word.size()) / 3 + 1;
  std::string found;
  for (const auto& candidate : candidates) {
    const int distance = edit_distance(word, candidate, best);
    if (distance < best || (distance == best && found.empty())) {
      best = distance;
      found = std::string(candidate);
    }
  }
  return found;
}

}  // namespace xp

/// A broken invariant of ours: always on, says where, exit code 4. `message` is a std::string
/// expression.
#define XP_CHECK(condition, message)  \
  ((condition) ? static_cast<void>(0) \
               : ::xp::detail::check_failed(__FILE__, __LINE__, #condition, (message)))
