#include "core/cli/arguments.h"
#include "core/cli/model_commands.h"

namespace xp::cli {

void ImportCommand::declare(Arguments& declared) {
  source.declare(declared);
  declared.option("--out", out,
                  "checkpoint of exp to write (.safetensors); without it nothing is written");
  declared.flag("--all", all, "say what became of every tensor");
  declared.footer(
      "Examples:\n  exp import audioset_10_10_0.4593.pth --all\n"
      "  exp import passt-s.pt --arch passt-s --fstride 16 --tstride 16 --out passt.safetensors\n");
}

int ImportCommand::run(Session&) { return kContinue; }

std::unique_ptr<Command> make_import() { return std::make_unique<ImportCommand>(); }

}  // namespace xp::cli
