# cmake --install: programs in bin/, the shipped recipes in share/exp/recipes.
include(GNUInstallDirs)
install(TARGETS exp RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
if(XP_TORCH)
  # The same path in both trees: one that CMake rewrites when it installs ends in an empty element, which is the
  # current folder.
  set_target_properties(exp-compute PROPERTIES INSTALL_RPATH "${XP_TORCH_ROOT}/lib" BUILD_WITH_INSTALL_RPATH ON)
  install(TARGETS exp-compute RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(DIRECTORY recipes DESTINATION ${CMAKE_INSTALL_DATADIR}/exp)
