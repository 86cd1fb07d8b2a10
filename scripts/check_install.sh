#!/usr/bin/env bash
# Installs a build into an empty folder and runs a shipped recipe from there, one step of each stage.
#   scripts/check_install.sh BUILD_FOLDER
set -euo pipefail
prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT
cmake --install "$1" --prefix "$prefix" >/dev/null
export PATH="$prefix/bin:$PATH" NO_COLOR=1
mkdir "$prefix/work" && cd "$prefix/work"
[ "$(command -v exp)" = "$prefix/bin/exp" ]
for program in "$1/bin/exp-compute" "$prefix/bin/exp-compute"; do
  path=$(readelf -d "$program" | sed -n 's/.*R[A-Z]*PATH.*\[\(.*\)\]/\1/p')
  case ":$path:" in *::*) echo "$program looks for libraries in the current folder: '$path'"; exit 1 ;; esac
done
exp --version
exp init
exp doctor
exp run "$prefix/share/exp/recipes/esc50/quickstart.toml" --variant synthetic --check
