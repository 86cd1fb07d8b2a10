#include "core/cli/worker.h"

#include <memory>

#include "core/cli/arguments.h"
#include "core/cli/command.h"

namespace xp::cli {
namespace {

class Worker final : public CommandOf<WorkerArguments> {
 public:
  void declare(Arguments& declared) override {
    declared.option("address", asked_.address, "HOST:PORT of rank 0").required();
    declared.option("rank", asked_.rank, "number of this rank").required();
    declared.option("world", asked_.world, "number of ranks").required();
    declared.footer(
        "`exp run --devices N` starts its ranks with this command; nobody has to.\n\n"
        "Example:\n  exp run --devices cpu:2\n");
  }
  int run(Session&) override { return kContinue; }
};

}  // namespace

std::unique_ptr<Command> make_worker() { return std::make_unique<Worker>(); }

}  // namespace xp::cli
