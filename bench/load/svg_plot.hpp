// A plot of lines as SVG that stands inside an HTML page and asks for nothing: no script, no font, no picture.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace colloquy::load {

enum class plot_scale : std::uint8_t { linear, logarithmic };

struct plot_series {
  std::string name;
  std::vector<std::pair<double, double>> points{}; ///< x rising; on a logarithmic scale above 0
};

struct plot_axis {
  std::string name;
  plot_scale scale = plot_scale::linear;               ///< linear ones of y begin at 0
  std::vector<std::pair<double, std::string>> ticks{}; ///< where and what; none: chosen from the data
};

struct plot {
  std::string id;
  std::string title;
  plot_axis x;
  plot_axis y;
  std::vector<plot_series> series{};
  double mark_until = 0; ///< x up to which the background is marked, such as a warm-up
  std::string mark_name{};
};

/// One <svg> element of class "plot", each series a <polyline> of class "series" with its points as <circle>s. Without
/// any point it says so.
std::string to_svg(const plot& wanted);

/// As text inside HTML and its attributes.
std::string escape_html(std::string_view text);

} // namespace colloquy::load
