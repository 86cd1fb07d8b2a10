#pragma once

#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace xp::testing {

/// A pseudo-terminal that takes this process's stderr as long as it lives, and what a person sees
/// on it.
class Terminal {
 public:
  explicit Terminal(int columns);
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  /// The rows so far, without blanks at their ends; the last is the one that the cursor is in.
  std::vector<std::string> rows() const;

 private:
  void read();
  void take(char c);
  void escape();

  const size_t columns_;
  int master_ = -1, saved_ = -1;
  mutable std::mutex mutex_;  ///< guards what follows
  std::vector<std::string> rows_{std::string()};
  size_t column_ = 0;
  std::string sequence_;  ///< an escape sequence that is not whole yet
  std::thread thread_;
};

}  // namespace xp::testing
