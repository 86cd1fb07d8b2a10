# Writes core/cli/build_id.h: the commit that a binary was built from, "+" behind it when the tree was changed.
# Run at every build; the file is touched only when the answer differs.
execute_process(COMMAND git -C ${SOURCE_DIR} rev-parse --short=12 HEAD OUTPUT_VARIABLE id
  OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
if(failed)
  set(id "no git")
else()
  execute_process(COMMAND git -C ${SOURCE_DIR} status --porcelain --untracked-files=no OUTPUT_VARIABLE changed ERROR_QUIET)
  if(changed)
    string(APPEND id "+")
  endif()
endif()
file(CONFIGURE OUTPUT ${OUT} CONTENT
"#pragma once
namespace xp::cli {
inline constexpr const char* kVersion = \"${VERSION}\";
inline constexpr const char* kBuildId = \"${id}\";
}
")
