#pragma once

#include <string>
#include <vector>

#include "core/report/comparison.h"
#include "core/report/figures.h"

namespace xp::report {

/// One page that needs no network and no other file: words, tables, drawings, runs, the query.
/// Light or dark as the reader's system says. Everything is readable with scripts off; with them,
/// hovering tells values, dragging zooms, legends hide series. Deterministic.
std::string render_html(const Comparison& comparison, const std::vector<Figure>& figures);

/// The style and script of the page.
std::string_view page_style();
std::string_view page_script();

}  // namespace xp::report
