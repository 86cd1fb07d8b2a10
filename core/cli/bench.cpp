#include <CLI/CLI.hpp>

#include "core/base/error.h"
#include "core/cli/evaluate.h"

namespace xp::cli {

void BenchCommand::declare(CLI::App& app) {
  EvaluateArguments& a = arguments_;
  app.footer(
      "Speed from spectrogram to logits, noise in, random or given weights.\n"
      "Examples:\n"
      "  exp bench ast-base384 --tome 0,8,16,32 --batch 4 --reps 3\n"
      "  exp bench .exp/cache/train/KEY/best.safetensors --device gpu:0 --precision bf16\n");
  app.add_option("model", a.checkpoint, "an architecture of `exp models`, or a checkpoint of exp")
      ->required();
  app.add_option("--tome", a.tome, "tokens merged in each block; several: 0,8,16")->delimiter(',');
  app.add_option("--batch", a.batch, "clips in a measured batch (default 32)");
  app.add_option("--reps", a.reps, "measured batches, after 10 to warm up")->capture_default_str();
  app.add_option("--frames", a.frames, "frames of the input, for an architecture")
      ->capture_default_str();
  app.add_option("--classes", a.classes, "classes, for an architecture")->capture_default_str();
  app.add_option("--precision", a.precision, "fp32, bf16 or fp16")
      ->check(CLI::IsMember({"fp32", "bf16", "fp16"}))
      ->capture_default_str();
  app.add_option("--device", a.device, "cpu or gpu:0 (default: the best there is)");
  app.add_option("--threads", a.threads, "CPU threads (default: all that this process may use)");
}

int BenchCommand::run(Session&) {
  if (arguments_.reps < 1) throw Error("exp bench: --reps is at least 1");
  return kContinue;
}

std::unique_ptr<Command> make_bench() { return std::make_unique<BenchCommand>(); }

}  // namespace xp::cli
