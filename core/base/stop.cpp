#include "core/base/stop.h"

#include <atomic>
#include <csignal>

#include <unistd.h>

namespace xp {
namespace {

std::atomic<int> reason{0};
static_assert(std::atomic<int>::is_always_lock_free, "set from a signal handler");

extern "C" void on_signal(int signal) {
  const auto wanted =
      static_cast<int>(signal == SIGINT ? StopReason::kInterrupted : StopReason::kPreempted);
  int first = 0;
  if (reason.compare_exchange_strong(first, wanted)) return;
  // A second SIGUSR2 is the scheduler repeating itself, and a terminal that goes away may say so
  // twice; a second SIGINT or SIGTERM means now.
  if (signal == SIGINT || signal == SIGTERM)
    _exit(static_cast<int>(exit_code(static_cast<StopReason>(first))));
}

}  // namespace

void install_stop_signals() {
  // A file beyond its limit (ulimit -f) is then an error of that write, which says which file.
  ::signal(SIGXFSZ, SIG_IGN);
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  for (const int signal : {SIGINT, SIGTERM, SIGUSR2}) sigaction(signal, &action, nullptr);
  struct sigaction hangup {};
  sigaction(SIGHUP, nullptr, &hangup);
  if (hangup.sa_handler != SIG_IGN) sigaction(SIGHUP, &action, nullptr);
}

StopReason stop_requested() {
  return static_cast<StopReason>(reason.load(std::memory_order_relaxed));
}

void request_stop(StopReason wanted) { reason = static_cast<int>(wanted); }

void throw_if_stopped() {
  const StopReason now = stop_requested();
  if (now != StopReason::kNone) throw Stopped(now);
}

Exit exit_code(StopReason why) {
  return why == StopReason::kPreempted ? Exit::kPreempted : Exit::kInterrupted;
}

}  // namespace xp
