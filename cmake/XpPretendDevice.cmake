# xp::pretend_device: a device beside the CPU that every machine has, for the tests of what computes.
add_library(xp_pretend_device STATIC ${XP_PRETEND_SOURCES})
target_include_directories(xp_pretend_device PUBLIC ${CMAKE_SOURCE_DIR})
target_link_libraries(xp_pretend_device PUBLIC xp_base PRIVATE xp_warnings)
xp_use_torch(xp_pretend_device PUBLIC)
xp_quick_to_compile(xp_pretend_device)
add_library(xp::pretend_device ALIAS xp_pretend_device)
