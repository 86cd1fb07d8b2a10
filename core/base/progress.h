#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace xp {

/// A progress display: one line rewritten in place on a terminal (rate and time left; cut to its
/// width until it is finished), a plain line every 10 s in a log. Any thread may call `add` and
/// `note`; both are cheap.
class Progress {
 public:
  /// `what` is drawn in front ("prepare esc10"), `unit` after the rate ("clips"); `total` 0 = not
  /// known.
  Progress(std::string what, int64_t total, std::string unit);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void add(int64_t done);
  /// Sets the count, for work that goes on from an earlier attempt: what was there before does not
  /// count for the rate.
  void start_from(int64_t done);
  /// A short text behind the rate: "loss 0.31, lr 2.5e-4".
  void note(std::string text);
  /// Draws the last state, ends the line. Called by the destructor too.
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Removes a progress line from the terminal, so that a message can be printed; it is drawn again
/// at the next `add`.
void clear_progress_line();

/// Turns progress displays off (--quiet, tests).
void set_progress_enabled(bool enabled);

}  // namespace xp
