#pragma once

#include <filesystem>

#include <sys/types.h>

namespace xp::tracker {

/// While it lives, what this process and its children write to stdout and stderr also goes to
/// `folder`/output.RANK.log, in the order of its coming; of a line that is redrawn (progress) the
/// last form is kept. A small process of its own does it, so that the last words of a crash are
/// shown and kept. Where stderr or stdout is a terminal it stays one for this process. Make it
/// before other threads write.
class Capture {
 public:
  /// Throws Error (kFailed) when the file cannot be made; output then goes on as before.
  Capture(const std::filesystem::path& folder, int rank);
  ~Capture();
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  /// The error number with which stdout took no more of what was captured in this process, 0 while
  /// it took all. A reader that went away (EPIPE) had what it wanted. Known once the Capture is
  /// gone.
  static int stdout_error();

  /// The log of another rank that this process starts: beside the one that it keeps, "" while it
  /// keeps none.
  static std::filesystem::path log_of(int rank);

 private:
  int saved_[2] = {-1, -1};
  int stop_ = -1;  ///< closing it tells the process to end even while children hold the pipes
  pid_t pid_ = -1;
};

}  // namespace xp::tracker
