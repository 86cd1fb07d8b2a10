#pragma once

// Stands in for gloo's header of this name: LibTorch's c10d::ProcessGroupGloo holds gloo objects by
// shared pointer alone, so its header compiles against these declarations, and the library that
// LibTorch carries does the work.
