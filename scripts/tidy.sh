#!/usr/bin/env bash
# clang-tidy, with a preset of its own because it cannot read GCC's precompiled headers.
#   scripts/tidy.sh             every torch-free source, in groups that are read as one; what differs from $EXP_CI_BASE
#                               (default: the commit before), torch sources too, each by itself and also by the static
#                               analyzer, which takes as long as all other checks
#   scripts/tidy.sh --changed   what differs from the last commit
#   scripts/tidy.sh FILE...     these
set -euo pipefail
cd "$(dirname "$0")/.."
cmake --preset tidy -DCMAKE_MESSAGE_LOG_LEVEL=WARNING >/dev/null
cmake --build build/tidy --target xp_build_id >/dev/null
torch='^core/(model|dist|frontend|batches|load|evaluate|train|cli/compute)/'
all=$(git ls-files 'core/*.cpp' 'data/*.cpp' 'tracker/*.cpp' 'sweeps/*.cpp')
whole=""
if [ "${1:-}" = --changed ]; then
  deep=$(git diff --name-only HEAD -- '*.cpp' | grep -Fx "$all" || true)
elif [ $# -gt 0 ]; then
  deep=$(printf '%s\n' "$@")
else
  base=$(git rev-parse -q --verify "${EXP_CI_BASE:-HEAD~1}^{commit}" || git rev-list --max-parents=0 HEAD)
  deep=$(git diff --name-only --diff-filter=d "$base" HEAD -- '*.cpp' | grep -Fx "$all" || true)
  whole=$(grep -vE "$torch" <<<"$all" | grep -vFx "${deep:-none}" || true)
fi

look_at() {  # BUILD FILES HOW_MANY_AT_ONCE OPTION...
  local build=$1 files=$2 at_once=$3
  shift 3
  [ -n "$files" ] || return 0
  echo "clang-tidy $*: $(wc -l <<<"$files") of $build"
  xargs -P "$(env -u OMP_NUM_THREADS nproc)" -n "$at_once" clang-tidy-14 --quiet -p "$build" "$@" <<<"$files" \
    2> >(grep -vE 'warnings? (generated|treated)|^Suppressed|^Use -header' >&2 || true)
}
look_at build/tidy "$deep" 4
if [ -n "$whole" ]; then
  # A group includes sources, which is what suspicious-include suspects, and a local name of one may shadow a constant
  # of another.
  groups=$(xargs scripts/tidy_groups.py build/tidy <<<"$whole")
  look_at build/tidy/groups "$groups" 1 '--checks=-clang-analyzer-*,-bugprone-suspicious-include' --extra-arg=-Wno-shadow
fi
