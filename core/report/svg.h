#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace xp::report {

/// Of every chart, and of a letter of its texts: units of the viewBox.
inline constexpr double kChartWidth = 680, kLetterWidth = 6.6;

/// Text inside XML and HTML: & < > " escaped, control characters left out.
std::string escape_xml(std::string_view text);

/// A coordinate with two decimals at most, so that bytes do not depend on the last bits.
std::string coordinate(double value);

/// Writes one SVG drawing. Colours come from classes (svg_style), so that one drawing serves light
/// and dark; `attributes` are written as they are: the caller escapes what is the user's.
class Svg {
 public:
  /// `label` is read to those who do not see the picture.
  Svg(double width, double height, std::string_view label, std::string_view attributes = "");

  void open(std::string_view attributes);  ///< a group
  void close();
  void line(double x1, double y1, double x2, double y2, std::string_view attributes);
  void path(const std::vector<std::pair<double, double>>& points, std::string_view attributes);
  /// `title` shows on hover, scripts or not; empty = none. The same for the two below.
  void circle(double x, double y, double radius, std::string_view attributes,
              std::string_view title);
  void rect(double x, double y, double width, double height, std::string_view attributes,
            std::string_view title);
  /// `anchor`: start, middle or end.
  void text(double x, double y, std::string_view text, std::string_view anchor,
            std::string_view attributes = "");

  /// The whole element. Call once, at the end.
  std::string finish();

 private:
  void titled(std::string_view name, std::string_view title);
  std::string out_;
};

/// The style of every drawing, for light and dark; `root` is the selector that holds the colours.
std::string svg_style(std::string_view root);

/// A drawing as a file of its own, with its style, background and title.
std::string svg_file(const std::string& svg, std::string_view title);

}  // namespace xp::report
