#!/usr/bin/env bash
# An r-sweep at inference (nine evaluations of 40 clips, a spectrogram of 128 x 512) against the sum of its forward
# passes: bench/sweeps/run.sh [PAIRS] [ARCH]. Goal: at most 1.2 times as long. About four minutes a pair on two cores.
set -euo pipefail
cd "$(dirname "$0")/../.."
pairs=${1:-3}
arch=${2:-ast-small224}
cmake --preset release -DCMAKE_MESSAGE_LOG_LEVEL=WARNING ${CMAKE_FLAGS:-} >/dev/null
cmake --build build/release --target exp exp-compute >/dev/null
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 bench/sweeps/r_sweep.py prepare "$work/workspace" "$arch"
python3 bench/compare.py --name "$arch, tome.r=0:64:8 at inference, against its forward passes" --goal 0.8333 \
  --pairs "$pairs" --metric wall_s --ours "python3 bench/sweeps/r_sweep.py sweep $work/workspace" \
  --theirs "python3 bench/sweeps/r_sweep.py forward $work/workspace"
