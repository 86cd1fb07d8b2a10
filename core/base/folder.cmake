# Whether the programs of this build compute on GPUs: what `auto` and --devices go by.
if(XP_WITH_CUDA)
  target_compile_definitions(xp_base PRIVATE XP_WITH_CUDA=${XP_CUDA_MAJOR})
endif()

# The library picks the widest registers of the machine at run time where it was built to; the header
# alone takes what every machine has.
include(CheckLibraryExists)
check_library_exists(xxhash XXH3_64bits_dispatch "" XP_XXHASH_DISPATCHES)
if(XP_XXHASH_DISPATCHES)
  target_compile_definitions(xp_base PRIVATE XP_XXHASH_DISPATCHES)
  target_link_libraries(xp_base PRIVATE xxhash)
endif()
