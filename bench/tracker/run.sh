#!/usr/bin/env bash
# The tracker by itself and, by interleaved pairs, against sacred, MLflow on SQLite and Aim: bench/tracker/run.sh [PAIRS].
# EXP_TRACKER_PYTHON: a Python that has bench/requirements-tracker.txt (default: one made in .deps). RUNS: of the
# workspace that questions are asked of (10000).
set -euo pipefail
cd "$(dirname "$0")/../.."
pairs=${1:-7}
python=${EXP_TRACKER_PYTHON:-$(bench/venv.sh bench/requirements-tracker.txt)}
cmake --preset release -DCMAKE_MESSAGE_LOG_LEVEL=WARNING ${CMAKE_FLAGS:-} >/dev/null
cmake --build build/release --target tracker_bench >/dev/null
bench=build/release/bin/tracker_bench
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
compare() {  # name goal metric ours theirs
  python3 bench/compare.py --name "$1" ${2:+--goal "$2"} --pairs "$pairs" --metric "$3" --ours "$4" --theirs "$5" || [ -z "$2" ] || failed=1
}
theirs() { echo "$python bench/tracker/log.py $1 $2 $work/$1"; }

echo "10^6 points: $($bench log "$work/log" 1000000)"
echo "10 ms steps, 10 metrics: $($bench step "$work/step" 10)"
many="$bench log $work/many 1000000" few="$bench log $work/few 5000"
compare "a stored point, start and finish counted: 10^6 of ours, 2 * 10^5 of sacred" 5 stored_s "$many" "$(theirs sacred 200000)"
compare "a stored point, 5000 of both: sacred" 5 stored_s "$few" "$(theirs sacred 5000)"
compare "a stored point, 10^6 of ours, 500 of MLflow" 1000 stored_s "$many" "$(theirs mlflow 500)"
compare "a stored point, 500 of both: MLflow" "" stored_s "$bench log $work/short 500" "$(theirs mlflow 500)"
compare "a stored point, 10^6 of ours, 10^4 of MLflow by batches of 1000" "" stored_s "$many" "$(theirs mlflow_batch 10000)"
compare "a stored point, 5000 of both: Aim" "" stored_s "$few" "$(theirs aim 5000)"
for system in "sacred 200000" "mlflow 500" "aim 5000"; do
  compare "a call: $system" "" call_s "$many" "$(theirs $system)"
done
$bench fill "$work/runs" "${RUNS:-10000}"
echo "questions: $($bench query "$work/runs")"
exit $failed
