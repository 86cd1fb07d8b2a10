#!/usr/bin/env bash
# clang-tidy, with a preset of its own because it cannot read GCC's precompiled headers.
#   scripts/tidy.sh             every torch-free source; what differs from $EXP_CI_BASE (default: the commit before),
#                               torch sources too, also by the static analyzer, which takes as long as all other checks
#   scripts/tidy.sh --changed   what differs from the last commit
#   scripts/tidy.sh FILE...     these
set -euo pipefail
cd "$(dirname "$0")/.."
cmake --preset tidy -DCMAKE_MESSAGE_LOG_LEVEL=WARNING >/dev/null
cmake --build build/tidy --target xp_build_id >/dev/null
torch='^core/(model|dist|frontend|train|cli/compute)/'
all=$(git ls-files 'core/*.cpp' 'data/*.cpp' 'tracker/*.cpp' 'sweeps/*.cpp' | grep -v /fuzz/)
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

look_at() {  # FILES OPTION...
  local files=$1
  shift
  [ -n "$files" ] || return 0
  echo "clang-tidy $*: $(wc -l <<<"$files") files"
  xargs -P "$(env -u OMP_NUM_THREADS nproc)" -n 4 clang-tidy-14 --quiet -p build/tidy "$@" <<<"$files" \
    2> >(grep -vE 'warnings? (generated|treated)|^Suppressed|^Use -header' >&2 || true)
}
look_at "$deep"
look_at "$whole" '--checks=-clang-analyzer-*'
