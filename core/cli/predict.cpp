#include <fmt/format.h>

#include "core/base/error.h"
#include "core/cli/arguments.h"
#include "core/cli/model_commands.h"

namespace xp::cli {

void CheckpointArguments::declare(Arguments& declared, bool required) {
  Option what = declared.option(
      "checkpoint", checkpoint,
      "checkpoint of exp, published weights (`exp models --weights`), or a file of the originals");
  if (required) what.required();
  declared.option("--arch", arch, "architecture of a file that does not say it (`exp models`)");
  declared
      .option(
          "--labels", labels,
          "CSV with the class names: index, mid, display_name; found by mid where the checkpoint "
          "has ids")
      .existing_file();
  declared
      .option("--frames", frames,
              "frames of the input instead of the checkpoint's; positions are fitted")
      .range(16, 100000);
  declared.option("--fstride", fstride, "with --arch: mel bins between patches").range(1, 128);
  declared.option("--tstride", tstride, "with --arch: frames between patches").range(1, 16);
  declared
      .option("--set", set,
              "model.KEY=VALUE or frontend.KEY=VALUE that a file of the originals does not show")
      .take_all();
  declared.flag("--loose", loose,
                "take what fits of a checkpoint that lacks tensors or has others");
}

void ListenArguments::declare(Arguments& declared) {
  declared.option("sounds", inputs, "sound files, or folders of them");
  declared.option("--device", device, "cpu or gpu:N (default: the best there is)");
  declared.option("--tome-r", tome_r, "tokens merged in every block (transformers)").not_negative();
  declared.option("--batch", batch, "windows in one forward pass").range(1, 4096);
  declared.option("--precision", precision, "fp32, bf16 or fp16")
      .one_of({"fp32", "bf16", "fp16"})
      .show_default();
}

void PredictCommand::declare(Arguments& declared) {
  source.declare(declared);
  listen.declare(declared);
  declared.option("--top", top, "classes to show").range(1, 1000);
  declared
      .option("--window-s", window_s,
              "score windows of this many seconds instead of the whole clip")
      .positive();
  declared.option("--hop-s", hop_s, "seconds between windows (default: half a window)").positive();
  declared.flag(
      "--softmax", softmax,
      "probabilities over classes that exclude each other (default: as the checkpoint was trained, "
      "each class by itself where it does not say)");
  declared.option("--trace-merges", trace_merges,
                  "with --tome-r: PNG of the first sound's patches, merged ones in one colour");
  declared.footer(
      "Examples:\n  exp predict passt_s_swa_p16_128_ap476 dog.wav --labels "
      "class_labels_indices.csv\n"
      "  exp predict last.safetensors recordings/ --window-s 10 --hop-s 5\n"
      "  exp predict audioset_10_10_0.4593 dog.wav --tome-r 32 --trace-merges merges.png\n");
}

namespace {

/// Option values from `least` seconds to an hour; 0 = not given.
void check_seconds(const char* option, double value, double least) {
  if (value == 0 || (value >= least && value <= 3600)) return;  // false for NaN
  throw Error(fmt::format("{} is {:g}: seconds from {:g} to 3600", option, value, least));
}

}  // namespace

int PredictCommand::run(Session&) {
  if (listen.inputs.empty()) throw Error("give sound files or a folder; see `exp predict --help`");
  check_seconds("--window-s", window_s, 0.05);
  check_seconds("--hop-s", hop_s, 0.01);
  if (hop_s > 0 && window_s <= 0) throw Error("--hop-s is between windows: give --window-s too");
  if (hop_s > window_s) {
    throw Error(
        fmt::format("--hop-s is {:g}, more than --window-s {:g}: what lies between the "
                    "windows would not be heard",
                    hop_s, window_s));
  }
  if (!trace_merges.empty() && listen.tome_r == 0)
    throw Error("--trace-merges draws what --tome-r merged: give --tome-r too");
  return kContinue;
}

std::unique_ptr<Command> make_predict() { return std::make_unique<PredictCommand>(); }

}  // namespace xp::cli
