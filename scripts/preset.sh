#!/usr/bin/env bash
# Prints the preset for this machine: cuda where an NVIDIA driver gives it a GPU, else release. A container may have been
# given GPU 3 alone, and WSL's GPU is /dev/dxg. EXP_CUDA=ON or OFF decides by hand; EXP_DEV is another /dev, for tests.
dev=${EXP_DEV:-/dev}
case "${EXP_CUDA:-AUTO}" in
  ON) echo cuda ;;
  OFF) echo release ;;
  *) if compgen -G "$dev/nvidia[0-9]*" >/dev/null || [ -e "$dev/dxg" ]; then echo cuda; else echo release; fi ;;
esac
