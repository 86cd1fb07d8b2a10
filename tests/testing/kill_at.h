#pragma once

#include <functional>
#include <optional>

namespace xp::testing {

struct Attempt {
  bool killed = false;
  int code = -1;  ///< exit code where it was not killed: 0, or 1 when `work` threw
  int calls = 0;  ///< that changed files, until its end
};

/// Does `work` in a child process and kills that (SIGKILL) on its way into the call number `fatal`,
/// from 1, of its main thread that changes files: the only places between which the disk differs,
/// so that every moment that matters can be met, whatever the machine's speed. 0 = never. Nullopt
/// where processes cannot be traced.
std::optional<Attempt> kill_at(int fatal, const std::function<void()>& work);

}  // namespace xp::testing
