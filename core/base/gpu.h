#pragma once

namespace xp {

/// True in a program that is built with its CUDA parts (preset `cuda`).
bool built_with_cuda();

/// GPUs that this program can compute on: 0 in a build without CUDA, else those that the NVIDIA
/// driver shows to this process (it honours CUDA_VISIBLE_DEVICES). The driver is asked once, and
/// loaded only then, so that a program without torch may ask too.
int usable_gpus();

/// NVIDIA GPUs of the machine, usable or not: its device files.
int present_gpus();

}  // namespace xp
