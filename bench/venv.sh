#!/usr/bin/env bash
# Makes (once) the Python environment that the benchmarks compare against, from bench/requirements.txt or the
# list given, and prints its python. It lives in .deps/, never in the system.
#   python=$(bench/venv.sh [bench/requirements-NAME.txt])
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
list=$(realpath "${1:-$root/bench/requirements.txt}")
venv=$root/.deps/bench-$(sha256sum <"$list" | cut -c1-12)
if [ ! -e "$venv/.complete" ]; then
  rm -rf "$venv"
  python3 -m venv "$venv" >&2
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$list" >&2
  touch "$venv/.complete"
fi
echo "$venv/bin/python"
