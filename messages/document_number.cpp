#include "messages/document_number.hpp"

#include "messages/limits.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>

namespace colloquy {
namespace {

/// Far beyond every limit, and far from overflowing.
constexpr std::int64_t exponent_max = 1'000'000'000;

/// Of "e+12" the 12; 0 of "".
std::int64_t read_exponent(std::string_view text) noexcept {
  if (text.empty())
    return 0;
  text.remove_prefix(1);
  if (text.starts_with('+'))
    text.remove_prefix(1);
  std::int64_t value = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), value).ec == std::errc::result_out_of_range)
    return text.starts_with('-') ? -exponent_max : exponent_max;
  return std::clamp(value, -exponent_max, exponent_max);
}

} // namespace

std::size_t digits_written_out(std::string_view number) noexcept {
  if (number.starts_with('-'))
    number.remove_prefix(1);
  const auto mantissa = number.substr(0, number.find_first_of("eE"));
  const auto whole = mantissa.substr(0, mantissa.find('.'));
  const auto digits = static_cast<std::int64_t>(mantissa.size() - (whole.size() < mantissa.size() ? 1 : 0));
  const auto before_point = static_cast<std::int64_t>(whole.size()) + read_exponent(number.substr(mantissa.size()));
  if (before_point <= 0)
    return static_cast<std::size_t>(1 + digits - before_point);
  return static_cast<std::size_t>(std::max(digits, before_point));
}

std::size_t bytes_written_out(std::string_view number) noexcept {
  const bool is_negative = number.starts_with('-');
  if (is_negative)
    number.remove_prefix(1);
  const auto mantissa = number.substr(0, number.find_first_of("eE"));
  const auto exponent = read_exponent(number.substr(mantissa.size()));
  const auto whole = mantissa.substr(0, mantissa.find('.'));
  const auto fraction = mantissa.substr(std::min(whole.size() + 1, mantissa.size()));
  const auto scale = std::max<std::int64_t>(0, static_cast<std::int64_t>(fraction.size()) - exponent);
  const auto point_and_fraction = scale > 0 ? 1 + scale : 0;
  const auto first = mantissa.find_first_not_of("0.");
  if (first == std::string_view::npos) // a zero, without its sign
    return static_cast<std::size_t>(1 + point_and_fraction);
  const auto zeros_before = static_cast<std::int64_t>(first < whole.size() ? first : first - 1);
  const auto digits = static_cast<std::int64_t>(whole.size()) + exponent - zeros_before;
  return static_cast<std::size_t>((is_negative ? 1 : 0) + std::max<std::int64_t>(1, digits) + point_and_fraction);
}

std::optional<std::string> check_document_number(const json_scalar& value) {
  if (value.kind != json_kind::number)
    return std::nullopt;
  if (digits_written_out(value.number) <= static_cast<std::size_t>(limits::document_number_digits_max))
    return std::nullopt;
  return "is a number of more than " + std::to_string(limits::document_number_digits_max) + " digits, written out";
}

} // namespace colloquy
