#!/usr/bin/env bash
# Installs what the build needs: Debian packages (with apt, when it may) and LibTorch (a pinned wheel, into
# .deps/). Does nothing where all is there. --ci also installs what only the checks need.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
ci=${1:-}

wanted=$(sed -e 's/#.*//' scripts/packages.txt | awk -v ci="$ci" 'NF == 1 || (NF == 2 && ci == "--ci") {print $1}')
installed=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' 2>/dev/null | awk '$1 ~ /^.i/ {print $2}')
missing=$(comm -23 <(sort -u <<<"$wanted") <(sort -u <<<"$installed") | tr '\n' ' ')
if [ -n "${missing// /}" ]; then
  if [ "$(id -u)" = 0 ]; then sudo=""; elif sudo -n true 2>/dev/null; then sudo="sudo"; else
    echo "exp needs some Debian packages first. Run this line, then the same command again:" >&2
    echo "  sudo apt-get install --no-install-recommends $missing" >&2
    exit 3
  fi
  echo "installing: $missing"
  $sudo apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi

if [ -n "${EXP_TORCH_ROOT:-}" ]; then
  [ -e "$EXP_TORCH_ROOT/lib/libtorch_cpu.so" ] || { echo "EXP_TORCH_ROOT=$EXP_TORCH_ROOT has no lib/libtorch_cpu.so" >&2; exit 3; }
  exit 0
fi
lists=(scripts/libtorch-cpu.txt)
[ "$(scripts/preset.sh)" = cuda ] && lists+=(scripts/libtorch-cuda.txt)
stamp=.deps/torch/$(cat "${lists[@]}" | sha256sum | cut -c1-16).complete
[ -e "$stamp" ] && exit 0
echo "installing LibTorch into .deps/torch (about 550 MB to download; 2.5 GB more for CUDA)"
rm -rf .deps/torch.new && mkdir -p .deps/torch.new
# One call: with --target, a second one replaces the folder nvidia/ that the first has filled.
python3 -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-deps --require-hashes --only-binary=:all: \
  --python-version 3.11 --implementation cp --abi cp311 --platform manylinux_2_28_x86_64 \
  --platform manylinux_2_27_x86_64 --platform manylinux_2_25_x86_64 --platform manylinux_2_18_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 \
  --upgrade --root-user-action=ignore --target .deps/torch.new "${lists[@]/#/--requirement=}"
touch ".deps/torch.new/$(basename "$stamp")"
rm -rf .deps/torch && mv .deps/torch.new .deps/torch
