# xp_embed(LIBRARY FILE): FILE of the source folder as a constant: core/report/page.js becomes
# core/report/page_js.h of the build folder's generated/, with xp::k_page_js.
function(xp_embed library file)
  file(READ ${CMAKE_SOURCE_DIR}/${file} text)
  get_filename_component(folder ${file} DIRECTORY)
  get_filename_component(name ${file} NAME)
  string(REPLACE "." "_" name ${name})
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/${folder}/${name}.h @ONLY CONTENT
"#pragma once

#include <string_view>

namespace xp {
inline constexpr std::string_view k_@name@ = R\"XP(@text@)XP\";
}
")
  set_property(DIRECTORY ${CMAKE_SOURCE_DIR} APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${file})
  target_include_directories(${library} PRIVATE ${CMAKE_BINARY_DIR}/generated)
endfunction()
