#!/usr/bin/env bash
# The preset follows the GPU that is there, and the wheels of the GPU build come in one call of pip: a second one with
# --target would delete what the first has put into nvidia/.
set -euo pipefail
scripts=$(dirname "$(readlink -f "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{tree/scripts,bin,dev}

expect() {
  local found
  found=$(env -u EXP_CUDA EXP_DEV="$work/dev" ${2:-} "$scripts/preset.sh")
  [ "$found" = "$1" ] || { echo "preset $found, expected $1: $(ls "$work/dev") ${2:-}"; exit 1; }
}
expect release
touch "$work/dev/nvidia-uvm" "$work/dev/nvidiactl"
expect release
touch "$work/dev/nvidia3"
expect cuda
expect release EXP_CUDA=OFF
rm "$work/dev/nvidia3"
touch "$work/dev/dxg"
expect cuda
rm "$work/dev/dxg"
expect cuda EXP_CUDA=ON

# A pip that, as the real one, replaces a top folder that is there already.
cat >"$work/bin/python3" <<'EOF'
#!/usr/bin/env bash
echo call >>"$PIP_CALLS"
lists=()
for word in "$@"; do
  case "$word" in
    --requirement=*) lists+=("${word#--requirement=}") ;;
    .deps/*) target=$word ;;
  esac
done
rm -rf "$target/nvidia"
mkdir -p "$target/nvidia"
cat "${lists[@]}" | sed -n 's/^\([a-z][^= ]*\)==.*/\1/p' | while read -r name; do touch "$target/nvidia/$name"; done
EOF
chmod +x "$work/bin/python3"
cp "$scripts"/{setup.sh,preset.sh,packages.txt,libtorch-cpu.txt,libtorch-cuda.txt} "$work/tree/scripts"
env -u EXP_TORCH_ROOT EXP_CUDA=ON PIP_CALLS="$work/calls" PATH="$work/bin:$PATH" "$work/tree/scripts/setup.sh" >/dev/null
for name in torch nvidia-cuda-runtime nvidia-cuda-cupti nvidia-nccl-cu13 nvidia-cublas; do
  [ -e "$work/tree/.deps/torch/nvidia/$name" ] || { echo "$name is gone after $(wc -l <"$work/calls") calls of pip"; exit 1; }
done
