#include "core/cli/arguments.h"
#include "core/cli/model_commands.h"

namespace xp::cli {

void ExportCommand::declare(Arguments& declared) {
  source.declare(declared);
  declared
      .option("--as", as,
              "names of: ast, passt, torchonly, timm, mn, dymn (a .pth file), or bundle (a folder)")
      .one_of({"ast", "passt", "torchonly", "timm", "mn", "dymn", "bundle"})
      .show_default();
  declared.option("--out", out, "file or folder to write (default: the checkpoint's name)");
  declared.footer(
      "A bundle holds model.safetensors, model.json, recipe.toml, labels.csv, golden.safetensors "
      "(an input\n"
      "spectrogram and its logits) and check.py, which computes the one from the other with torch "
      "alone.\n\n"
      "Examples:\n  exp export last.safetensors --as ast --out audio_model.pth\n  exp export "
      "last.safetensors --as bundle --out my_model\n");
}

int ExportCommand::run(Session&) { return kContinue; }

std::unique_ptr<Command> make_export() { return std::make_unique<ExportCommand>(); }

}  // namespace xp::cli
