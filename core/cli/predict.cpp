#include <CLI/CLI.hpp>

#include "core/base/error.h"
#include "core/cli/model_commands.h"

namespace xp::cli {

void CheckpointArguments::declare(CLI::App& app, bool required) {
  CLI::Option* what = app.add_option(
      "checkpoint", checkpoint,
      "checkpoint of exp, published weights (`exp models --weights`), or a file of the originals");
  if (required) what->required();
  app.add_option("--arch", arch, "architecture of a file that does not say it (`exp models`)");
  app.add_option("--labels", labels, "CSV with the class names: index, mid, display_name")
      ->check(CLI::ExistingFile);
  app.add_option("--frames", frames,
                 "frames of the input instead of the checkpoint's; positions are fitted")
      ->check(CLI::Range(16, 100000));
  app.add_option("--fstride", fstride, "with --arch: mel bins between patches")
      ->check(CLI::Range(1, 128));
  app.add_option("--tstride", tstride, "with --arch: frames between patches")
      ->check(CLI::Range(1, 16));
  app.add_flag("--loose", loose, "take what fits of a checkpoint that lacks tensors or has others");
}

void ListenArguments::declare(CLI::App& app) {
  app.add_option("sounds", inputs, "sound files, or folders of them");
  app.add_option("--device", device, "cpu or gpu:N (default: the best there is)");
  app.add_option("--tome-r", tome_r, "tokens merged in every block (transformers)")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--batch", batch, "windows in one forward pass")->check(CLI::Range(1, 4096));
}

void PredictCommand::declare(CLI::App& app) {
  source.declare(app);
  listen.declare(app);
  app.add_option("--top", top, "classes to show")->check(CLI::Range(1, 1000));
  app.add_option("--window-s", window_s,
                 "score windows of this many seconds instead of the whole clip")
      ->check(CLI::PositiveNumber);
  app.add_option("--hop-s", hop_s, "seconds between windows (default: half a window)")
      ->check(CLI::PositiveNumber);
  app.add_flag(
      "--softmax", softmax,
      "probabilities over classes that exclude each other (default: each class by itself)");
  app.add_option("--trace-merges", trace_merges,
                 "with --tome-r: PNG of the first sound's patches, merged ones in one colour");
  app.footer(
      "Examples:\n  exp predict passt_s_swa_p16_128_ap476 dog.wav --labels "
      "class_labels_indices.csv\n"
      "  exp predict last.safetensors recordings/ --window-s 10 --hop-s 5\n"
      "  exp predict audioset_10_10_0.4593 dog.wav --tome-r 32 --trace-merges merges.png\n");
}

int PredictCommand::run(Session&) {
  if (listen.inputs.empty()) throw Error("give sound files or a folder; see `exp predict --help`");
  if (hop_s > 0 && window_s <= 0) throw Error("--hop-s is between windows: give --window-s too");
  if (!trace_merges.empty() && listen.tome_r == 0)
    throw Error("--trace-merges draws what --tome-r merged: give --tome-r too");
  return kContinue;
}

std::unique_ptr<Command> make_predict() { return std::make_unique<PredictCommand>(); }

}  // namespace xp::cli
