#include "core/report/svg.h"

#include <cmath>

#include <fmt/format.h>

#include "core/base/error.h"

namespace xp::report {
namespace {

constexpr std::string_view kLight =
    "--ground:#ffffff;--ink:#1c2330;--soft:#5b6574;--rule:#e3e7ed;--axis:#9aa4b2;"
    "--c0:#2563c9;--c1:#c2410c;--c2:#15803d;--c3:#8b3fd9;--c4:#a16207;--c5:#0e7490;--c6:#be185d;"
    "--c7:#56606e;--good:#15803d;--bad:#c2303c";
constexpr std::string_view kDark =
    "--ground:#12161d;--ink:#e6eaf1;--soft:#9aa5b5;--rule:#2a313c;--axis:#5d6878;"
    "--c0:#6ea8ff;--c1:#ff9466;--c2:#5fd38a;--c3:#c99bff;--c4:#e8bd5a;--c5:#4fcfe0;--c6:#ff85b8;"
    "--c7:#b0b8c4;--good:#5fd38a;--bad:#ff7d86";
constexpr std::string_view kRules = R"(
svg.chart text{font:12px system-ui,-apple-system,"Segoe UI",sans-serif;fill:var(--ink);stroke:none}
svg.chart .tick{font-size:11px;fill:var(--soft)}
svg.chart .label{font-size:11px}
svg.chart .heading{font-size:15px;font-weight:600}
svg.chart .ground{fill:var(--ground)}
svg.chart .grid{stroke:var(--rule);stroke-width:1}
svg.chart .axis{stroke:var(--axis);stroke-width:1}
svg.chart .line{fill:none;stroke:var(--c);stroke-width:1.8;stroke-linejoin:round}
svg.chart .thin{fill:none;stroke:var(--c);stroke-width:1.2;opacity:.75}
svg.chart .dash{stroke-dasharray:5 4}
svg.chart .bar{stroke:var(--c);stroke-width:1.4}
svg.chart .mark{fill:var(--c);stroke:var(--ground);stroke-width:1.2}
svg.chart .ring{fill:none;stroke:var(--c);stroke-width:1.6}
svg.chart .fill{fill:var(--c)}
svg.chart .nan{stroke:var(--bad);stroke-width:2}
svg.chart .up{fill:var(--good)}
svg.chart .down{fill:var(--bad)}
svg.chart .cell text{fill:#fff}
svg.chart .key{cursor:pointer}
svg.chart .off{opacity:.25}
svg.chart .hidden{display:none}
svg.chart .s0{--c:var(--c0)}svg.chart .s1{--c:var(--c1)}svg.chart .s2{--c:var(--c2)}
svg.chart .s3{--c:var(--c3)}svg.chart .s4{--c:var(--c4)}svg.chart .s5{--c:var(--c5)}
svg.chart .s6{--c:var(--c6)}svg.chart .s7{--c:var(--c7)}
)";

constexpr double kHeading = 34;

double number_after(const std::string& text, std::string_view name) {
  const size_t at = text.find(name);
  XP_CHECK(at != std::string::npos, "a drawing of ours has its size");
  return std::stod(text.substr(at + name.size()));
}

}  // namespace

std::string escape_xml(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        if (static_cast<unsigned char>(c) >= 0x20 || c == '\n') out += c;
    }
  }
  return out;
}

std::string coordinate(double value) {
  std::string out = fmt::format("{:.2f}", value);
  while (out.back() == '0') out.pop_back();
  if (out.back() == '.') out.pop_back();
  return out == "-0" ? "0" : out;
}

Svg::Svg(double width, double height, std::string_view label, std::string_view attributes) {
  out_ = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" viewBox=\"0 0 {} {}\" "
      "width=\"{}\" "
      "height=\"{}\" role=\"img\" aria-label=\"{}\"{}{}>\n",
      coordinate(width), coordinate(height), coordinate(width), coordinate(height),
      escape_xml(label), attributes.empty() ? "" : " ", attributes);
}

void Svg::open(std::string_view attributes) { out_ += fmt::format("<g {}>\n", attributes); }
void Svg::close() { out_ += "</g>\n"; }

void Svg::line(double x1, double y1, double x2, double y2, std::string_view attributes) {
  out_ += fmt::format("<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" {}/>\n", coordinate(x1),
                      coordinate(y1), coordinate(x2), coordinate(y2), attributes);
}

void Svg::path(const std::vector<std::pair<double, double>>& points, std::string_view attributes) {
  std::string list;
  for (const auto& [x, y] : points)
    list += fmt::format("{}{},{}", list.empty() ? "" : " ", coordinate(x), coordinate(y));
  out_ += fmt::format("<polyline points=\"{}\" {}/>\n", list, attributes);
}

void Svg::titled(std::string_view name, std::string_view title) {
  out_ +=
      title.empty() ? "/>\n" : fmt::format("><title>{}</title></{}>\n", escape_xml(title), name);
}

void Svg::circle(double x, double y, double radius, std::string_view attributes,
                 std::string_view title) {
  out_ += fmt::format("<circle cx=\"{}\" cy=\"{}\" r=\"{}\" {}", coordinate(x), coordinate(y),
                      coordinate(radius), attributes);
  titled("circle", title);
}

void Svg::rect(double x, double y, double width, double height, std::string_view attributes,
               std::string_view title) {
  out_ += fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" {}", coordinate(x),
                      coordinate(y), coordinate(width), coordinate(height), attributes);
  titled("rect", title);
}

void Svg::text(double x, double y, std::string_view text, std::string_view anchor,
               std::string_view attributes) {
  out_ += fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"{}\"{}{}>{}</text>\n", coordinate(x),
                      coordinate(y), anchor, attributes.empty() ? "" : " ", attributes,
                      escape_xml(text));
}

std::string Svg::finish() { return std::move(out_) + "</svg>\n"; }

std::string svg_style(std::string_view root) {
  return fmt::format("{0}{{{1}}}\n@media (prefers-color-scheme:dark){{{0}{{{2}}}}}{3}", root,
                     kLight, kDark, kRules);
}

std::string svg_file(const std::string& svg, std::string_view title) {
  const double width = number_after(svg, " width=\""), height = number_after(svg, " height=\"");
  Svg frame(width, height + kHeading, title);
  std::string out = frame.finish();
  out.resize(out.rfind("</svg>"));
  out += fmt::format(
      "<style>{}</style>\n<rect class=\"ground\" width=\"100%\" height=\"100%\"/>\n<text x=\"16\" "
      "y=\"24\" class=\"heading\">{}</text>\n<g transform=\"translate(0 {})\">\n",
      svg_style("svg.chart"), escape_xml(title), coordinate(kHeading));
  return out + svg + "</g>\n</svg>\n";
}

}  // namespace xp::report
