#include "core/cli/worker.h"

#include <memory>

#include "core/cli/arguments.h"

namespace xp::cli {
namespace {

class WorkerCommand final : public Command {
 public:
  void declare(Arguments& declared) override {
    declared.option("address", arguments_.address, "HOST:PORT of rank 0").required();
    declared.option("rank", arguments_.rank, "number of this rank").required();
    declared.option("world", arguments_.world, "number of ranks").required();
    declared.footer(
        "`exp run --devices N` starts its ranks with this command; nobody has to.\n\n"
        "Example:\n  exp run --devices cpu:2\n");
  }
  int run(Session&) override { return kContinue; }
  const WorkerArguments& arguments() const { return arguments_; }

 private:
  WorkerArguments arguments_;
};

}  // namespace

const WorkerArguments& worker_arguments(Command& command) {
  return dynamic_cast<WorkerCommand&>(command).arguments();
}

std::unique_ptr<Command> make_worker() { return std::make_unique<WorkerCommand>(); }

}  // namespace xp::cli
