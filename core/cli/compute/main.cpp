// exp-compute: the same command table, with the compute halves of the kCompute commands.

#include <cstdlib>

#include <c10/util/Exception.h>

#include "core/base/error.h"
#include "core/cli/command.h"

namespace xp::cli {

#define XP_COMMAND(name, where, help) XP_DECLARE_##where(name)
#define XP_DECLARE_kLocal(name)
#define XP_DECLARE_kCompute(name) int compute_##name(Command& command, Session& session);
#include "core/cli/commands.inc"
#undef XP_COMMAND

namespace {

/// Errors of LibTorch without their stack.
template <ComputeFunction run>
int without_stack(Command& command, Session& session) {
  try {
    return run(command, session);
  } catch (const c10::Error& error) {
    throw Error(error.what_without_backtrace(), Exit::kFailed);
  }
}

ComputeFunction compute_function([[maybe_unused]] const std::string& name) {
#define XP_COMMAND(id, where, help) XP_RETURN_##where(id)
#define XP_RETURN_kLocal(id)
#define XP_RETURN_kCompute(id) \
  if (name == #id) return &without_stack<&compute_##id>;
#include "core/cli/commands.inc"
#undef XP_COMMAND
  return nullptr;
}

}  // namespace
}  // namespace xp::cli

int main(int argc, char** argv) {
  // Workspaces of a fixed size: with it cuBLAS gives the same bits each time. CUDA reads it when it
  // starts.
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
  return xp::cli::run_command_line(argc, argv, &xp::cli::compute_function);
}
