#include "gateway/metric_text.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace colloquy::gateway {
namespace {

std::string to_text(double value) {
  std::array<char, 400> text{}; // the largest double has 309 digits
  const auto written = std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  return {text.data(), written.ptr};
}

void append_label(std::string& to, const metric_label& label) {
  to += label.first;
  to += "=\"";
  for (const char c : label.second) {
    if (c == '\\' || c == '"')
      to += '\\';
    if (c == '\n')
      to += "\\n";
    else
      to += c;
  }
  to += '"';
}

} // namespace

void metric_histogram::add(double seconds) noexcept {
  const auto* bound = std::lower_bound(std::begin(bounds_s), std::end(bounds_s), seconds);
  if (bound != std::end(bounds_s))
    ++buckets_[bound - std::begin(bounds_s)];
  ++count_;
  sum_ += seconds;
}

metric_text& metric_text::begin(std::string_view name, std::string_view type, std::string_view help) {
  name_ = name;
  text_ += "# HELP " + name_ + " " + std::string(help) + "\n# TYPE " + name_ + " " + std::string(type) + "\n";
  return *this;
}

void metric_text::line(std::string_view suffix, metric_labels labels, const metric_label* more,
                       std::string_view value) {
  text_ += name_;
  text_ += suffix;
  if (labels.size() > 0 || more != nullptr) {
    text_ += '{';
    const char* comma = "";
    for (const auto& label : labels) {
      text_ += std::exchange(comma, ",");
      append_label(text_, label);
    }
    if (more != nullptr) {
      text_ += comma;
      append_label(text_, *more);
    }
    text_ += '}';
  }
  text_ += ' ';
  text_ += value;
  text_ += '\n';
}

metric_text& metric_text::sample(double value, metric_labels labels) {
  line("", labels, nullptr, to_text(value));
  return *this;
}

metric_text& metric_text::sample(std::uint64_t value, metric_labels labels) {
  line("", labels, nullptr, std::to_string(value));
  return *this;
}

metric_text& metric_text::sample(const metric_histogram& of, metric_labels labels) {
  std::array<std::pair<double, std::uint64_t>, metric_histogram::bucket_count> all{};
  for (std::size_t i = 0; i < all.size(); ++i)
    all[i] = {metric_histogram::bounds_s[i], of.buckets()[i]};
  return buckets(all, of.count(), of.sum(), labels);
}

metric_text& metric_text::buckets(std::span<const std::pair<double, std::uint64_t>> of, std::uint64_t count, double sum,
                                  metric_labels labels) {
  std::uint64_t below = 0;
  for (const auto& [bound, in_bucket] : of) {
    below += in_bucket;
    const auto text = to_text(bound);
    const metric_label le{"le", text};
    line("_bucket", labels, &le, std::to_string(below));
  }
  const metric_label infinite{"le", "+Inf"};
  line("_bucket", labels, &infinite, std::to_string(count));
  line("_sum", labels, nullptr, to_text(sum));
  line("_count", labels, nullptr, std::to_string(count));
  return *this;
}

} // namespace colloquy::gateway
