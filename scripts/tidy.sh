#!/usr/bin/env bash
# clang-tidy, with a preset of its own because it cannot read GCC's precompiled headers.
# All sources of the folders named in `whole`, and of the others those that differ from $EXP_CI_BASE (default: the
# commit before); --changed: only what differs from the last commit.
set -euo pipefail
cd "$(dirname "$0")/.."
cmake --preset tidy -DCMAKE_MESSAGE_LOG_LEVEL=WARNING >/dev/null
cmake --build build/tidy --target xp_build_id >/dev/null
# Folders that are clean as a whole; the aim is every torch-free one.
whole='^core/(base|checkpoint|metric|ops)/'
all=$(git ls-files 'core/*.cpp' 'data/*.cpp' 'tracker/*.cpp' 'sweeps/*.cpp' | grep -v /fuzz/)
if [ "${1:-}" = --changed ]; then
  files=$(git diff --name-only HEAD -- '*.cpp' | grep -Fx "$all" || true)
else
  base=$(git rev-parse -q --verify "${EXP_CI_BASE:-HEAD~1}^{commit}" || git rev-list --max-parents=0 HEAD)
  changed=$(git diff --name-only --diff-filter=d "$base" HEAD -- '*.cpp' | grep -vE "$whole" | grep -Fx "$all" || true)
  files=$(grep -E "$whole" <<<"$all"; echo "$changed")
fi
files=$(grep . <<<"$files" || true)
[ -n "$files" ] || { echo "clang-tidy: nothing to look at"; exit 0; }
echo "clang-tidy: $(wc -l <<<"$files") files"
xargs -P "$(nproc)" -n 4 clang-tidy-14 --quiet -p build/tidy <<<"$files" 2> >(grep -vE 'warnings? (generated|treated)|^Suppressed|^Use -header' >&2 || true)
