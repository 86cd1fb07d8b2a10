#!/usr/bin/env bash
# Before a commit: format, layers, clang-tidy on the changed torch-free sources, quick unit tests.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/format.sh --check
python3 scripts/check_layers.py
scripts/tidy.sh --changed
cmake --build build/dev
ctest --test-dir build/dev -L unit -LE torch --output-on-failure -j 2
