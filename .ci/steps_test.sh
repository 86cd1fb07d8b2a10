#!/usr/bin/env bash
# A step whose first line fails ends the run, and the run fails.
set -euo pipefail
steps=$(dirname "$0")/steps.sh
run() {
  bash -euo pipefail -c "source '$steps'
    works() { true; }
    breaks() { false; echo went on; }
    $1
    echo \"end of:\$summary\"" 2>&1
}
good=$(run 'step one works; step two works')
[[ $good == *"::: one"*"::: two"*"end of:"*" s  one"*" s  two"* ]] || { echo "good steps: $good"; exit 1; }
rc=0
bad=$(run 'step one works; step two breaks') || rc=$?
[ "$rc" -ne 0 ] || { echo "a failing step did not fail the run: $bad"; exit 1; }
[[ $bad == *"::: two FAILED after"* && $bad != *"went on"* && $bad != *"end of:"* ]] || { echo "bad step: $bad"; exit 1; }
