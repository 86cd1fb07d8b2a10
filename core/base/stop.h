#pragma once

#include "core/base/error.h"

namespace xp {

/// Why a process was asked to stop.
enum class StopReason : int {
  kNone = 0,
  kInterrupted = 1,  ///< Ctrl-C (SIGINT): checkpoint, status INTERRUPTED, exit 130
  kPreempted = 2,    ///< SIGTERM or SIGUSR2 (a cluster takes the machine), or SIGHUP (the
                     ///< terminal is gone): checkpoint, status PREEMPTED, exit 75
  kRequested = 3     ///< `exp stop RUN`: checkpoint, status INTERRUPTED, exit 130
};

/// Takes SIGINT, SIGTERM, SIGUSR2, and SIGHUP where it is not ignored (nohup). The first one sets
/// the flag; a second SIGINT or SIGTERM ends the process at once, with the exit code of the first.
/// SIGXFSZ is ignored: a write beyond the limit of a file's size fails instead.
/// Call once, before any thread starts.
void install_stop_signals();

/// What long work polls between steps, clips or blocks. Async-signal-safe, any thread.
StopReason stop_requested();

/// Sets the flag by hand (`exp stop`, tests); kNone clears it.
void request_stop(StopReason reason);

/// Thrown by `throw_if_stopped` where work ends by unwinding. Not an Error: nobody made a mistake.
class Stopped : public std::exception {
 public:
  explicit Stopped(StopReason reason) : reason_(reason) {}
  StopReason reason() const { return reason_; }
  const char* what() const noexcept override { return "stopped"; }

 private:
  StopReason reason_;
};

void throw_if_stopped();

/// The exit code of a process that stopped for this reason.
Exit exit_code(StopReason reason);

}  // namespace xp
