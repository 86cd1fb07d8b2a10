#!/usr/bin/env bash
# Every run behind docs/results.md, then the page itself: bench/results/run.sh [PART...], in the order below where no part
# is named. The runs are in the workspace's tracker: after a stop the same command goes on, a second one computes nothing,
# and one beside it takes trials of the same sweep. About four hours on two cores with nothing in the cache.
set -euo pipefail
cd "$(dirname "$0")/../.."
exp=${EXP_PROGRAM:-./exp}
jobs=${EXP_JOBS:-2}
seeds=3

sweep() { # NAME RECIPE ARGS...: three seeds, a trial a core
  local name=$1
  shift
  "$exp" sweep "$@" --set experiment.name="$name" --seeds "$seeds" --jobs "$jobs"
}

teachers() { sweep core10-cnn recipes/speechcommands/core10_cnn.toml; }
kd() { sweep core10-kd recipes/speechcommands/core10_kd.toml; }
tome() { sweep esc10-tome recipes/esc50/esc10_sweeps.toml; }
patchout() {
  sweep esc10-patchout-t recipes/esc50/esc10_sweeps.toml --param patchout.t=0:24:8
  sweep esc10-patchout-f recipes/esc50/esc10_sweeps.toml --param patchout.f=0:4:2
}
kfold() { sweep esc10-folds recipes/esc50/esc10_kfold.toml; }
audioset() {
  sweep mini-cnn recipes/audioset/mini_cnn.toml
  sweep mini-kd recipes/audioset/mini_kd.toml
}
pretraining() {
  sweep core10-ssast recipes/speechcommands/core10_ssast.toml
  sweep core10-scratch recipes/speechcommands/core10_ssast.toml --variant scratch
}
speed() { # timed, so one trial at a time and nothing beside
  local jobs=1 sweeps=recipes/esc50/esc10_sweeps.toml
  sweep esc10-tome-inference $sweeps --variant inference
  sweep mini-kd-inference recipes/audioset/mini_kd.toml --variant inference --param tome.r=0:64:8
  sweep quickstart recipes/esc50/quickstart.toml
  local seeds=1  # one run each
  "$exp" run recipes/speechcommands/core10_cnn.toml --variant timing --set experiment.name=core10-cnn-time
  sweep esc10-tome-time $sweeps --variant timing
  sweep esc10-patchout-t-time $sweeps --variant timing --param patchout.t=0:24:8
  sweep esc10-patchout-f-time $sweeps --variant timing --param patchout.f=0:4:2
}
page() { python3 bench/results/page.py "$exp"; }

for part in "${@:-teachers kd tome patchout kfold audioset pretraining speed page}"; do
  for name in $part; do "$name"; done
done
