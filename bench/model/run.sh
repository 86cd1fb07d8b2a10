#!/usr/bin/env bash
# Models on one core against their originals (originals.py): bench/model/run.sh [PAIRS] [FILTER]
# FILTER: only lines whose name has it. EXP_BENCH_PYTHON: a Python that has bench/requirements-model.txt (default: one made in .deps).
set -euo pipefail
cd "$(dirname "$0")/../.."
pairs=${1:-9}
filter=${2:-}
python=${EXP_BENCH_PYTHON:-$(bench/venv.sh bench/requirements-model.txt)}
cmake --preset release -DCMAKE_MESSAGE_LOG_LEVEL=WARNING >/dev/null
cmake --build build/release --target model_bench >/dev/null
bench=build/release/bin/model_bench
failed=0
compare() {  # name, ours beside what both take, theirs beside what both take, both
  [[ $1 == *"$filter"* ]] || return 0
  python3 bench/compare.py --name "$1" --goal 1 --pairs "$pairs" --metric clip_s \
    --ours "$bench $2 --repeats 1 $4" --theirs "$python bench/model/model.py $3 --repeats 1 $4" || failed=1
}
for train in 0 1; do
  for dtype in fp32 bf16; do
    kind=$([ $train = 1 ] && echo "training step" || echo forward)
    for frames in 512 1024; do
      for r in 0 8 16 32 48; do
        compare "AST $frames $kind $dtype r $r" "" "--arch ast" \
          "--frames $frames --r $r --batch 1 --dtype $dtype --train $train"
      done
    done
  done
done
for dtype in fp32 bf16; do
  compare "PaSST-S patchout 40/4 training step $dtype" "--arch passt-s" "--arch passt" \
    "--frames 1000 --patchout_t 40 --patchout_f 4 --batch 1 --dtype $dtype --train 1"
done
compare "mn10 forward fp32" "--arch mn10" "--arch mn10" "--frames 1000 --batch 1"
compare "mn10 training step fp32" "--arch mn10" "--arch mn10" "--frames 1000 --batch 4 --train 1"
# Matching and merging against the block that they are in: shares of a forward block, no other program.
for dtype in fp32 bf16; do
  for frames in 512 1024; do
    [[ "ToMe share $dtype" == *"$filter"* ]] || continue
    echo "ToMe share $dtype $frames: $($bench --pieces 1 --dtype $dtype --frames $frames --r 32 --batch 2 --repeats 3 | tail -1)"
  done
done
exit $failed
