#!/usr/bin/env bash
# Prints the preset for this machine: cuda where there are a CUDA compiler and a GPU, else release.
# EXP_CUDA=ON or OFF decides by hand.
case "${EXP_CUDA:-AUTO}" in
  ON) echo cuda ;;
  OFF) echo release ;;
  *) if command -v nvcc >/dev/null && [ -e /dev/nvidia0 ]; then echo cuda; else echo release; fi ;;
esac
