// page.css and page.js, which the build embeds (core/report/folder.cmake).
#include <string_view>

#include "core/report/html.h"
#include "core/report/page_css.h"
#include "core/report/page_js.h"

namespace xp::report {

std::string_view page_style() { return k_page_css; }
std::string_view page_script() { return k_page_js; }

}  // namespace xp::report
