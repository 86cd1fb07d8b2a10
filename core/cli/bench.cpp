#include "core/cli/bench.h"

#include "core/base/error.h"
#include "core/cli/arguments.h"
#include "core/cli/command.h"

namespace xp::cli {
namespace {

class Bench final : public CommandOf<BenchArguments> {
 public:
  void declare(Arguments& declared) override;
  int run(Session& session) override;
};

void Bench::declare(Arguments& declared) {
  BenchArguments& a = asked_;
  declared.footer(
      "Speed from spectrogram to logits, noise in, random or given weights.\n"
      "Examples:\n"
      "  exp bench ast-base384 --tome 0,8,16,32 --batch 4 --reps 3\n"
      "  exp bench .exp/cache/train/KEY/best.safetensors --device gpu:0 --precision bf16\n");
  declared.option("model", a.model, "an architecture of `exp models`, or a checkpoint of exp")
      .required();
  declared.option("--tome", a.tome, "tokens merged in each block; several: 0,8,16")
      .comma_separated();
  declared.option("--batch", a.batch, "clips in a measured batch (default 32)");
  declared.option("--reps", a.reps, "measured batches, after 10 to warm up").show_default();
  declared.option("--frames", a.frames, "frames of the input, for an architecture").show_default();
  declared.option("--classes", a.classes, "classes, for an architecture").show_default();
  declared.option("--precision", a.precision, "fp32, bf16 or fp16")
      .one_of({"fp32", "bf16", "fp16"})
      .show_default();
  declared.option("--device", a.device, "cpu or gpu:0 (default: the best there is)");
  declared.option("--threads", a.threads, "CPU threads (default: all that this process may use)");
}

int Bench::run(Session&) {
  if (asked_.reps < 1) throw Error("exp bench: --reps is at least 1");
  return kContinue;
}

}  // namespace

std::unique_ptr<Command> make_bench() { return std::make_unique<Bench>(); }

}  // namespace xp::cli
