#include "bench/load/svg_plot.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>

namespace colloquy::load {
namespace {

constexpr double width = 760;
constexpr double height = 380;
constexpr double left = 74;
constexpr double right = 20;
constexpr double top = 16;
constexpr double bottom = 48;
constexpr double legend_line = 18;
constexpr std::size_t points_with_circles_max = 60;

// Told apart by who sees colours otherwise, too (Okabe and Ito's); further series get dashes.
constexpr std::array<const char*, 7> colours{"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                             "#e69f00", "#56b4e9", "#7f7f7f"};

std::string number(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.2f", value);
  return text.data();
}

/// 1500 is "1.5k", 0.02 is "0.02".
std::string label(double value) {
  std::array<char, 32> text{};
  if (std::abs(value) >= 1e6)
    std::snprintf(text.data(), text.size(), "%gM", value / 1e6);
  else if (std::abs(value) >= 1e3)
    std::snprintf(text.data(), text.size(), "%gk", value / 1e3);
  else
    std::snprintf(text.data(), text.size(), "%g", value);
  return text.data();
}

/// From values to places along one axis.
class mapping {
public:
  mapping(const plot_axis& axis, double min, double max, double from, double to)
    : is_logarithmic_(axis.scale == plot_scale::logarithmic)
    , from_(from)
    , to_(to) {
    min_ = turned(min);
    max_ = turned(max);
    if (is_logarithmic_) { // whole decades, so that there are ticks
      min_ = std::floor(min_ + 1e-9);
      max_ = std::ceil(max_ - 1e-9);
    }
    if (max_ - min_ < 1e-12)
      max_ = min_ + 1;
  }

  double operator()(double value) const { return from_ + (turned(value) - min_) / (max_ - min_) * (to_ - from_); }

  std::vector<std::pair<double, std::string>> ticks() const {
    std::vector<std::pair<double, std::string>> found;
    if (is_logarithmic_) {
      for (double decade = min_; decade <= max_ + 1e-9; ++decade)
        found.emplace_back(std::pow(10, decade), label(std::pow(10, decade)));
      return found;
    }
    const double rough = (max_ - min_) / 6;
    const double power = std::pow(10, std::floor(std::log10(rough)));
    const double step = rough / power < 1.5   ? power
                        : rough / power < 3.5 ? 2 * power
                        : rough / power < 7.5 ? 5 * power
                                              : 10 * power;
    for (double at = std::ceil(min_ / step) * step; at <= max_ + step * 1e-9; at += step)
      found.emplace_back(at, label(std::abs(at) < step * 1e-9 ? 0 : at));
    return found;
  }

private:
  double turned(double value) const { return is_logarithmic_ ? std::log10(std::max(value, 1e-12)) : value; }

  bool is_logarithmic_;
  double from_;
  double to_;
  double min_ = 0;
  double max_ = 1;
};

struct extent {
  double min = std::numeric_limits<double>::max();
  double max = std::numeric_limits<double>::lowest();

  void add(double value) {
    min = std::min(min, value);
    max = std::max(max, value);
  }
};

std::string text_at(double x, double y, const char* anchor, const std::string& what, const char* more = "") {
  return "<text x=\"" + number(x) + "\" y=\"" + number(y) + "\" text-anchor=\"" + anchor + "\"" + more + ">" +
         escape_html(what) + "</text>";
}

std::string line_from(double x1, double y1, double x2, double y2, const char* of_class) {
  return "<line class=\"" + std::string(of_class) + "\" x1=\"" + number(x1) + "\" y1=\"" + number(y1) + "\" x2=\"" +
         number(x2) + "\" y2=\"" + number(y2) + "\"/>";
}

std::string axes(const plot& wanted, const mapping& x, const mapping& y) {
  std::string out;
  for (const auto& [at, name] : wanted.y.ticks.empty() ? y.ticks() : wanted.y.ticks) {
    out += line_from(left, y(at), width - right, y(at), "grid");
    out += text_at(left - 8, y(at) + 4, "end", name);
  }
  for (const auto& [at, name] : wanted.x.ticks.empty() ? x.ticks() : wanted.x.ticks) {
    out += line_from(x(at), top, x(at), height - bottom, "grid");
    out += text_at(x(at), height - bottom + 18, "middle", name);
  }
  out += line_from(left, height - bottom, width - right, height - bottom, "axis");
  out += line_from(left, top, left, height - bottom, "axis");
  out += text_at((left + width - right) / 2, height - 8, "middle", wanted.x.name, " class=\"name\"");
  out += "<text class=\"name\" text-anchor=\"middle\" transform=\"translate(16 " + number((top + height - bottom) / 2) +
         ") rotate(-90)\">" + escape_html(wanted.y.name) + "</text>";
  return out;
}

std::string style_of(std::size_t number_of_series) {
  std::string style = " stroke=\"" + std::string(colours[number_of_series % colours.size()]) + "\"";
  if (number_of_series >= colours.size())
    style += " stroke-dasharray=\"6 4\"";
  return style;
}

std::string line_of(const plot_series& series, std::size_t nth, const mapping& x, const mapping& y) {
  std::string places;
  std::string circles;
  for (const auto& [at, value] : series.points) {
    places += number(x(at)) + "," + number(y(value)) + " ";
    if (series.points.size() <= points_with_circles_max)
      circles += "<circle cx=\"" + number(x(at)) + "\" cy=\"" + number(y(value)) + "\" r=\"2.6\" fill=\"" +
                 colours[nth % colours.size()] + "\"><title>" + escape_html(series.name) + ": " + label(value) +
                 "</title></circle>";
  }
  return "<polyline class=\"series\"" + style_of(nth) + " points=\"" + places + "\"><title>" +
         escape_html(series.name) + "</title></polyline>" + circles;
}

} // namespace

std::string escape_html(std::string_view text) {
  std::string out;
  for (const char c : text)
    switch (c) {
    case '<':
      out += "&lt;";
      break;
    case '>':
      out += "&gt;";
      break;
    case '&':
      out += "&amp;";
      break;
    case '"':
      out += "&quot;";
      break;
    default:
      out += c;
    }
  return out;
}

std::string to_svg(const plot& wanted) {
  extent xs;
  extent ys;
  for (const auto& series : wanted.series)
    for (const auto& [x, y] : series.points) {
      xs.add(x);
      ys.add(y);
    }
  const double legend = legend_line * static_cast<double>(wanted.series.size()) + 8;
  std::string out = "<svg class=\"plot\" id=\"" + escape_html(wanted.id) + "\" role=\"img\" aria-label=\"" +
                    escape_html(wanted.title) + "\" viewBox=\"0 0 " + number(width) + " " + number(height + legend) +
                    "\">";
  if (xs.min > xs.max)
    return out + text_at(width / 2, height / 2, "middle", "nothing was measured") + "</svg>";
  for (const auto& [at, name] : wanted.x.ticks)
    xs.add(at);
  if (wanted.y.scale == plot_scale::linear)
    ys.add(0);
  const mapping x(wanted.x, xs.min, xs.max, left, width - right);
  const mapping y(wanted.y, ys.min, ys.max * (wanted.y.scale == plot_scale::linear ? 1.05 : 1), height - bottom, top);
  if (wanted.mark_until > xs.min)
    out += "<rect class=\"mark\" x=\"" + number(left) + "\" y=\"" + number(top) + "\" width=\"" +
           number(x(std::min(wanted.mark_until, xs.max)) - left) + "\" height=\"" + number(height - bottom - top) +
           "\"/>" + text_at(left + 6, top + 14, "start", wanted.mark_name);
  out += axes(wanted, x, y);
  for (std::size_t nth = 0; nth < wanted.series.size(); ++nth) {
    out += line_of(wanted.series[nth], nth, x, y);
    const double line = height + legend_line * static_cast<double>(nth) + 8;
    out += "<polyline" + style_of(nth) + " points=\"" + number(left) + "," + number(line) + " " + number(left + 26) +
           "," + number(line) + "\"/>" + text_at(left + 34, line + 4, "start", wanted.series[nth].name);
  }
  return out + "</svg>";
}

} // namespace colloquy::load
