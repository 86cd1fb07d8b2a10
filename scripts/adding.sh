#!/usr/bin/env bash
# What the pages docs/adding_a_NAME.md promise: applies all of tests/adding/NAME.patch to a copy of the working tree that
# is thrown away, builds the test programs that they touch and runs their unit tests. Fails when a patch has more hunks
# than its page says ("Edits: 3"). adding.sh --hunks only counts.
set -euo pipefail
cd "$(dirname "$0")/.."

for patch in tests/adding/*.patch; do
  page=docs/adding_a_$(basename "$patch" .patch).md
  hunks=$(grep -c '^@@ ' "$patch")
  said=$(sed -nE 's/^Edits: ([0-9]+).*/\1/p' "$page")
  echo "$patch: $hunks hunks, $page says ${said:-nothing}"
  [ "$hunks" -le "${said:-0}" ]
done
[ "${1:-}" != --hunks ] || exit 0

top=$(mktemp -d)
tree=$top/exp
trap 'git worktree remove --force "$tree"; rm -rf "$top"' EXIT
work=$(git stash create)
git worktree add --quiet --detach "$tree" "${work:-HEAD}"
for patch in tests/adding/*.patch; do git -C "$tree" apply "$PWD/$patch"; done

# tests/FOLDER/NAME_test.cpp is of the program FOLDER_test.
mapfile -t programs < <(sed -nE 's|^\+\+\+ b/tests/([a-z]+)/.*_test\.cpp$|\1_test|p' tests/adding/*.patch | sort -u)
torch=OFF
for program in "${programs[@]}"; do
  if grep -qE "^xp_library\((core/)?${program%_test} +TORCH" cmake/layers.cmake; then torch=ON; fi
done
if [ $torch = ON ] && [ -d .deps/torch/torch ]; then export EXP_TORCH_ROOT=${EXP_TORCH_ROOT:-$PWD/.deps/torch/torch}; fi
cd "$tree"
cmake --preset dev -DXP_TORCH=$torch -DXP_WERROR=ON -DCMAKE_MESSAGE_LOG_LEVEL=WARNING >/dev/null
cmake --build build/dev --target "${programs[@]}" -- -j "${JOBS:-2}"
export XP_SOURCE_DIR=$tree OMP_NUM_THREADS=1
for program in "${programs[@]}"; do
  # What is generated is renewed first, as `make docs` does it.
  XP_WRITE_GOLDEN=1 "build/dev/bin/$program" --gtest_filter='*.ThePageIsTheTable' --gtest_brief=1
  "build/dev/bin/$program" --gtest_filter='-*Parity.*:*Integration.*:*Stress.*' --gtest_brief=1
done
