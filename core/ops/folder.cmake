# One file for each instruction set; log_mel.cpp chooses at run time. Always optimised, also in debug builds: a
# debug build that computes spectrograms a hundred times slower helps nobody. No contraction: see simd_lanes.h.
set(_common -O3 -ffp-contract=off -fno-math-errno -fno-trapping-math)
set_source_files_properties(${CMAKE_CURRENT_SOURCE_DIR}/core/ops/log_mel_baseline.cpp PROPERTIES
  COMPILE_OPTIONS "${_common}" SKIP_PRECOMPILE_HEADERS ON)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set_source_files_properties(${CMAKE_CURRENT_SOURCE_DIR}/core/ops/log_mel_avx2.cpp PROPERTIES
    COMPILE_OPTIONS "${_common};-mavx2;-mfma" SKIP_PRECOMPILE_HEADERS ON)
  # GCC takes the undefined operand inside its own AVX-512 intrinsics for a use.
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    list(APPEND _common -Wno-maybe-uninitialized -Wno-uninitialized)
  endif()
  set_source_files_properties(${CMAKE_CURRENT_SOURCE_DIR}/core/ops/log_mel_avx512.cpp PROPERTIES
    COMPILE_OPTIONS "${_common};-mavx2;-mfma;-mavx512f;-mavx512dq;-mavx512bw;-mavx512vl;-mprefer-vector-width=512" SKIP_PRECOMPILE_HEADERS ON)
else()
  set_source_files_properties(${CMAKE_CURRENT_SOURCE_DIR}/core/ops/log_mel_avx2.cpp
    ${CMAKE_CURRENT_SOURCE_DIR}/core/ops/log_mel_avx512.cpp PROPERTIES HEADER_FILE_ONLY ON)
endif()

xp_bench(log_mel_bench bench/frontend/log_mel_bench.cpp xp_ops xp_base)

# Token merging: the best partner of each token is found in lanes that -O2 leaves scalar.
set_source_files_properties(${CMAKE_CURRENT_SOURCE_DIR}/core/ops/token_merge.cpp PROPERTIES COMPILE_OPTIONS "-O3" SKIP_PRECOMPILE_HEADERS ON)
