#!/usr/bin/env bash
# The tracker by itself and against sacred, MLflow and Aim: bench/tracker/run.sh. Prints one line of JSON a measurement, then
# the ratios. EXP_TRACKER_PYTHON: a Python that has bench/requirements-tracker.txt (default: one made in .deps).
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${EXP_TRACKER_PYTHON:-$(bench/venv.sh bench/requirements-tracker.txt)}
cmake --preset release -DCMAKE_MESSAGE_LOG_LEVEL=WARNING ${CMAKE_FLAGS:-} >/dev/null
cmake --build build/release --target tracker_bench >/dev/null
bench=build/release/bin/tracker_bench
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
say() { echo "$1: $2"; }

ours=$($bench log "$work/log" 1000000)
say "exp, 1e6 points" "$ours"
say "exp, 5000 points" "$($bench log "$work/few" 5000)"
say "10 ms steps, 10 metrics" "$($bench step "$work/step" 10)"
for system in "sacred 5000" "mlflow 500" "mlflow_batch 10000" "aim 5000"; do
  set -- $system
  theirs=$("$python" bench/tracker/log.py "$1" "$2" "$work/$1" 2>/dev/null | tail -1)
  say "$1" "$theirs"
  python3 - "$ours" "$theirs" <<'END'
import json, sys
ours, theirs = map(json.loads, sys.argv[1:])
print(f"  per stored point {theirs['stored_us'] / ours['stored_us']:.0f}x, "
      f"per call {theirs['caller_us'] / ours['caller_us']:.0f}x of exp's")
END
done
$bench fill "$work/runs" "${RUNS:-10000}"
say "questions" "$($bench query "$work/runs")"
