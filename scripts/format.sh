#!/usr/bin/env bash
# clang-format over every source: rewrites them, or with --check lists those that differ and fails.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "${1:-}" = --check ]; then
  git ls-files '*.h' '*.cpp' '*.cu' | xargs clang-format-14 --dry-run --Werror
else
  git ls-files '*.h' '*.cpp' '*.cu' | xargs clang-format-14 -i
fi
