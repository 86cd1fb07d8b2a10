# xp_library(FOLDER [TORCH] [ONCE] [PUBLIC target...] [PRIVATE target...])
#
# The sources of FOLDER (without cli folders of their own) become the static library xp::NAME, NAME being
# the last part of FOLDER, and tests/NAME/*_test.cpp become the test program NAME_test. A folder that has
# no sources yet becomes an interface library, so that layers.cmake is the whole picture from the first day.
# TORCH: only where LibTorch is. ONCE: what it does is done once a command, so it is compiled at -O1.
include(GoogleTest)

# Suites are labelled by the end of their name: *Parity, *Integration, *Stress; others are unit tests.
# *Gpu, *Device, *Dist and *Slurm add a label of that name. Every test of a TORCH folder carries `torch`.
function(xp_discover_tests target torch)
  set(common DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 120 WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set(labelled "*Parity.*:*Integration.*:*Stress.*:*Gpu.*:*Device.*:*Dist.*:*Slurm.*")
  set(kinds unit parity integration stress gpu device dist slurm)
  set(filters "-${labelled}" *Parity.* *Integration.* *Stress.* *Gpu.* *Device.* *Dist.* *Slurm.*)
  set(script "${CMAKE_BINARY_DIR}/labels/${target}.cmake")
  set(text "# Labels of ${target}: gtest_discover_tests cannot pass lists.\n")
  foreach(kind filter IN ZIP_LISTS kinds filters)
    gtest_discover_tests(${target} TEST_FILTER "${filter}" TEST_LIST ${target}_${kind} ${common})
    set(labels ${kind})
    set(timeout 300)
    if(kind MATCHES "gpu|device|dist|slurm")
      list(PREPEND labels integration)
    endif()
    if(NOT kind STREQUAL unit)
      set(timeout 1500)
    endif()
    if(torch)
      list(APPEND labels torch)
    endif()
    string(APPEND text "foreach(test IN LISTS ${target}_${kind})\n"
      "  set_tests_properties(\"\${test}\" PROPERTIES LABELS \"${labels}\" TIMEOUT ${timeout}\n"
      "    ENVIRONMENT \"XP_SOURCE_DIR=${CMAKE_SOURCE_DIR};OMP_NUM_THREADS=1\")\n"
      "endforeach()\n")
  endforeach()
  file(WRITE ${script} "${text}")
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${script})
endfunction()

# With XP_UNITY (the presets that build everything) the sources of a library are compiled as one: their headers are
# read and their templates instantiated once, a quarter of the time. So no two sources of a folder may define the same
# name in their unnamed namespaces.
function(xp_unity target)
  if(XP_UNITY)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 0)
    # GCC takes an included source for a header here.
    target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
  endif()
endfunction()

# A third of the time that code takes to compile is optimisation: not worth it for what runs once a command or a test.
function(xp_quick_to_compile target)
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O1>)
endfunction()

# Programs of bench/: built on demand, all of them by the target xp_benches.
add_custom_target(xp_benches)
function(xp_bench target source)
  add_executable(${target} EXCLUDE_FROM_ALL ${CMAKE_SOURCE_DIR}/${source})
  target_link_libraries(${target} PRIVATE ${ARGN} xp_warnings)
  add_dependencies(xp_benches ${target})
endfunction()

function(xp_library folder)
  cmake_parse_arguments(ARG "TORCH;ONCE" "" "PUBLIC;PRIVATE" ${ARGN})
  if(ARG_TORCH AND NOT XP_TORCH)
    return()
  endif()
  get_filename_component(name ${folder} NAME)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${folder}/*.cpp)
  list(FILTER sources EXCLUDE REGEX "_(gloo|nccl)\\.cpp$")
  set(target xp_${name})
  if(NOT sources)
    add_library(${target} INTERFACE)
    target_include_directories(${target} INTERFACE ${CMAKE_SOURCE_DIR})
    target_link_libraries(${target} INTERFACE ${ARG_PUBLIC})
  else()
    add_library(${target} STATIC ${sources})
    target_include_directories(${target} PUBLIC ${CMAKE_SOURCE_DIR})
    target_link_libraries(${target} PUBLIC ${ARG_PUBLIC} PRIVATE ${ARG_PRIVATE} xp_warnings)
    if(ARG_TORCH)
      xp_use_torch(${target} PUBLIC)
    else()
      xp_reuse(${target} xp_plain_pch)
    endif()
    xp_unity(${target})
    if(ARG_ONCE)
      xp_quick_to_compile(${target})
    endif()
  endif()
  add_library(xp::${name} ALIAS ${target})
  if(EXISTS ${CMAKE_SOURCE_DIR}/${folder}/folder.cmake)
    include(${CMAKE_SOURCE_DIR}/${folder}/folder.cmake)
  endif()

  file(GLOB_RECURSE tests CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/${name}/*_test.cpp)
  file(GLOB_RECURSE fakes CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/${name}/fakes*.cpp)
  if(tests)
    add_executable(${name}_test ${tests} ${fakes})
    target_link_libraries(${name}_test PRIVATE xp::${name} xp::testing ${ARG_PUBLIC} ${ARG_PRIVATE} xp_warnings)
    if(ARG_TORCH)
      target_link_libraries(${name}_test PRIVATE xp::pretend_device)
      xp_use_torch(${name}_test PRIVATE)
    else()
      xp_reuse(${name}_test xp_test_pch)
    endif()
    xp_quick_to_compile(${name}_test)
    xp_unity(${name}_test)
    xp_discover_tests(${name}_test "${ARG_TORCH}")
    # Stand-ins for libraries of the machine, which tests load by their path: they lie beside the program.
    file(GLOB modules CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/${name}/*_module.cpp)
    foreach(source IN LISTS modules)
      get_filename_component(module ${source} NAME_WE)
      add_library(${module} MODULE ${source})
      set_target_properties(${module} PROPERTIES PREFIX "" LIBRARY_OUTPUT_DIRECTORY ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
      target_link_libraries(${module} PRIVATE xp_warnings)
      add_dependencies(${name}_test ${module})
    endforeach()
  endif()
endfunction()

# What every test program shares: paths of the fixtures, temporary folders.
file(GLOB XP_TESTING_SOURCES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/testing/*.cpp)
file(GLOB XP_PRETEND_SOURCES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/testing/pretend_*.cpp)
list(REMOVE_ITEM XP_TESTING_SOURCES ${XP_PRETEND_SOURCES})
add_library(xp_testing STATIC ${XP_TESTING_SOURCES})
target_include_directories(xp_testing PUBLIC ${CMAKE_SOURCE_DIR})
target_link_libraries(xp_testing PUBLIC GTest::gtest GTest::gmock nlohmann_json::nlohmann_json xp_base
                      PRIVATE xp_hdf5 xp_warnings)
xp_reuse(xp_testing xp_test_pch)
xp_quick_to_compile(xp_testing)
add_library(xp::testing ALIAS xp_testing)

# xp_programs(FOLDER PUBLIC target... PRIVATE target... COMPUTE target...)
#
# Two programs: `exp` (torch-free, of FOLDER's sources) and `exp-compute` (these and FOLDER/compute, with COMPUTE besides).
function(xp_programs folder)
  cmake_parse_arguments(ARG "" "" "PUBLIC;PRIVATE;COMPUTE" ${ARGN})
  file(GLOB shared CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${folder}/*.cpp)
  list(REMOVE_ITEM shared ${CMAKE_SOURCE_DIR}/${folder}/main.cpp)
  add_library(xp_cli STATIC ${shared})
  target_include_directories(xp_cli PUBLIC ${CMAKE_SOURCE_DIR})
  target_link_libraries(xp_cli PUBLIC ${ARG_PUBLIC} PRIVATE ${ARG_PRIVATE} ${CMAKE_DL_LIBS} xp_warnings)
  xp_reuse(xp_cli xp_plain_pch)
  xp_unity(xp_cli)
  xp_quick_to_compile(xp_cli)
  add_library(xp::cli ALIAS xp_cli)

  if(XP_WITH_CUDA)
    target_compile_definitions(xp_cli PRIVATE XP_NCCL_LIBRARY="${_site}/nvidia/nccl/lib/libnccl.so.2")
  endif()

  add_custom_target(xp_build_id COMMAND ${CMAKE_COMMAND} -DSOURCE_DIR=${CMAKE_SOURCE_DIR} -DVERSION=${PROJECT_VERSION}
    -DOUT=${CMAKE_BINARY_DIR}/generated/core/cli/build_id.h -P ${CMAKE_SOURCE_DIR}/cmake/BuildId.cmake
    BYPRODUCTS ${CMAKE_BINARY_DIR}/generated/core/cli/build_id.h)
  add_dependencies(xp_cli xp_build_id)
  target_include_directories(xp_cli PUBLIC ${CMAKE_BINARY_DIR}/generated)

  add_executable(exp ${folder}/main.cpp)
  target_link_libraries(exp PRIVATE xp::cli xp_warnings)

  if(XP_TORCH)
    file(GLOB compute CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${folder}/compute/*.cpp)
    add_executable(exp-compute ${compute})
    target_link_libraries(exp-compute PRIVATE xp::cli ${ARG_COMPUTE} xp_warnings)
    xp_use_torch(exp-compute PRIVATE)
    xp_unity(exp-compute)
    xp_quick_to_compile(exp-compute)
  endif()

  file(GLOB tests CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/cli/*_test.cpp)
  if(tests)
    add_executable(cli_test ${tests})
    target_link_libraries(cli_test PRIVATE xp::cli xp::testing ${ARG_PRIVATE} xp_warnings)
    xp_reuse(cli_test xp_test_pch)
    xp_quick_to_compile(cli_test)
    xp_unity(cli_test)
    add_dependencies(cli_test exp)
    if(XP_TORCH)
      add_dependencies(cli_test exp-compute)
    endif()
    target_compile_definitions(cli_test PRIVATE XP_BIN_DIR="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}"
      XP_HAS_COMPUTE=$<BOOL:${XP_TORCH}>)
    xp_discover_tests(cli_test FALSE)
  endif()
endfunction()
