#include "db/page_place.hpp"

#include <algorithm>
#include <cstdint>

namespace colloquy::db {
namespace {

constexpr std::size_t time_digits = 16;
constexpr const char* digits = "0123456789abcdef";

} // namespace

std::string to_cursor(const page_place& place) {
  auto time = static_cast<std::uint64_t>(place.at.time_since_epoch().count());
  std::string out(time_digits, '0');
  for (auto digit = out.rbegin(); digit != out.rend(); ++digit, time >>= 4)
    *digit = digits[time & 15];
  return out + uuid_to_string(place.id);
}

result<page_place> read_cursor(std::string_view cursor, std::string_view what) {
  if (cursor.empty())
    return page_place{};
  const error bad{error_code::invalid_request,
                  "the cursor is not one that a page of " + std::string(what) + " ended with"};
  std::uint64_t time = 0;
  for (const char c : cursor.substr(0, time_digits)) {
    const auto value = std::string_view(digits).find(c);
    if (value == std::string_view::npos)
      return bad;
    time = time << 4 | value;
  }
  const auto id = uuid_from_string(cursor.substr(std::min(time_digits, cursor.size())));
  if (!id)
    return bad;
  const page_place place{timestamp{std::chrono::microseconds{static_cast<std::int64_t>(time)}}, *id};
  if (place.at > end_of_time || place.at < timestamp{} || to_cursor(place) != cursor)
    return bad;
  return place;
}

} // namespace colloquy::db
