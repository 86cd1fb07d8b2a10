# Whether the programs of this build compute on GPUs: what `auto` and --devices go by.
if(EXP_WITH_CUDA)
  target_compile_definitions(xp_base PRIVATE XP_CUDA_BUILD)
endif()
