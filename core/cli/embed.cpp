#include "core/base/error.h"
#include "core/cli/arguments.h"
#include "core/cli/model_commands.h"

namespace xp::cli {

void EmbedCommand::declare(Arguments& declared) {
  declared.option("sounds", listen.inputs, "sound files, or folders of them").required();
  declared.option("--checkpoint", source.checkpoint,
                  "checkpoint of exp, published weights, or a file of the originals");
  declared.option("--module", module,
                  "one of passt_hear21's: base, base2level, base2levelmel, base20sec, base30sec, "
                  "hop100base, hop100base2lvl,\n"
                  "hop100base2lvlmel, hop160base, hop160base2lvl, hop160base2lvlmel, openmic2008; "
                  "loads its weights unless\n"
                  "--checkpoint replaces them");
  declared.option("--arch", source.arch,
                  "architecture of a file that does not say it (`exp models`)");
  declared.option("--frames", source.frames, "frames of the input instead of the checkpoint's")
      .range(16, 100000);
  declared.flag("--loose", source.loose,
                "take what fits of a checkpoint that lacks tensors or has others");
  declared.option("--content", content, "all (logits, then features), embed_only, logits")
      .one_of({"all", "embed_only", "logits"});
  declared.flag("--timestamps", timestamps, "an embedding every 50 ms instead of one a clip");
  declared.option("--out", out, "HDF5 file, see docs/formats/predictions.md").show_default();
  declared.option("--device", listen.device, "cpu or gpu:N (default: the best there is)");
  declared.option("--tome-r", listen.tome_r, "tokens merged in every block (transformers)")
      .not_negative();
  declared.option("--batch", listen.batch, "windows in one forward pass").range(1, 4096);
  declared.footer(
      "Examples:\n  exp embed recordings/ --module base --out scenes.h5\n"
      "  exp embed dog.wav --module base2levelmel --timestamps\n"
      "  exp embed dog.wav --checkpoint last.safetensors --content embed_only\n");
}

int EmbedCommand::run(Session&) {
  if (module.empty() && source.checkpoint.empty())
    throw Error("give --module or --checkpoint; see `exp embed --help`");
  return kContinue;
}

std::unique_ptr<Command> make_embed() { return std::make_unique<EmbedCommand>(); }

}  // namespace xp::cli
