#pragma once

#include <cstdio>
#include <string>

#include <sys/types.h>

namespace xp::cli {

/// What commands print passes through here on its way to stdout: paths, names, tags and notes come
/// from files of others, and nothing in them may steer a terminal, now or when the output is read
/// from a file later. Control characters are shown as escapes, but for line ends and tabs. While it
/// lives, `stdout` is a stream in front of the one that was there.
class PlainOutput {
 public:
  PlainOutput();
  ~PlainOutput();
  PlainOutput(const PlainOutput&) = delete;
  PlainOutput& operator=(const PlainOutput&) = delete;
  /// From now on what is printed is JSON: escapes are its own.
  void set_json() { json_ = true; }

 private:
  static ssize_t write(void* self, const char* bytes, size_t size);

  FILE* behind_;
  FILE* front_;
  bool json_ = false;
  std::string unfinished_;  ///< the begin of a character whose rest comes with the next bytes
};

/// Writes what was printed so far, also what did not pass a PlainOutput (std::cout). False where
/// that failed now or before; errno may say why.
bool flush_output();

/// Text for the terminal itself, as to clear it: not to be seen by a PlainOutput.
void print_control(const char* codes);

}  // namespace xp::cli
