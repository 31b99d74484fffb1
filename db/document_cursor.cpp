#include "db/document_cursor.hpp"

#include "db/document_sql.hpp"
#include "db/session_queries.hpp"
#include "messages/text_checks.hpp"

#include <algorithm>
#include <cstdint>

namespace colloquy::db {
namespace {

constexpr std::string_view digits = "0123456789abcdef";
constexpr char separator = '.';

std::string to_hex(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    (out += digits[byte >> 4]) += digits[byte & 15];
  }
  return out;
}

/// None if it is not the hexadecimal of a text.
std::optional<std::string> from_hex(std::string_view hex) {
  if (hex.size() % 2 != 0)
    return std::nullopt;
  std::string out;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    const auto high = digits.find(hex[i]);
    const auto low = digits.find(hex[i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos)
      return std::nullopt;
    out += static_cast<char>(high << 4 | low);
  }
  return is_storable_text(out) ? std::optional(std::move(out)) : std::nullopt;
}

std::string prefix_of(const document_order& order) {
  return std::string(order.by == document_order::key::id ? "i" : "c") + (order.is_descending ? "d" : "a");
}

std::string number_to_hex(std::int64_t number) {
  const auto bytes = encode_int8(number);
  return to_hex(bytes);
}

std::optional<std::int64_t> number_from_hex(std::string_view hex) {
  std::uint64_t number = 0;
  if (hex.size() != 16 || hex.find_first_not_of(digits) != std::string_view::npos)
    return std::nullopt;
  for (const char c : hex)
    number = number << 4 | digits.find(c);
  return static_cast<std::int64_t>(number);
}

/// The same for equal filters only: each text with its length before it.
void describe(const document_filter& where, std::string& out) {
  const auto add = [&out](std::string_view text) { (out += std::to_string(text.size()) += ':') += text; };
  if (where.kind == document_filter::what::test) {
    add(where.test.field);
    add(to_string(where.test.op));
    for (const auto& each : where.test.operands) {
      out += static_cast<char>('a' + static_cast<int>(each.kind));
      add(each.text);
    }
    return;
  }
  out += where.kind == document_filter::what::all ? "(" : "[";
  for (const auto& part : where.parts) {
    describe(part, out);
    out += ',';
  }
  out += ')';
}

std::int64_t filter_number(const find_documents& asked) {
  std::string text;
  describe(asked.where, text);
  return idempotency_hash(asked.as_user ? "user " + *asked.as_user : "all", text);
}

/// What stands before the next separator, which is taken away with it.
std::string_view take_part(std::string_view& text) {
  const auto end = text.find(separator);
  const auto part = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return part;
}

std::optional<page_begin> parse(const find_documents& wanted, std::string_view cursor) {
  if (!cursor.starts_with(prefix_of(wanted.order)))
    return std::nullopt;
  cursor.remove_prefix(2);
  const bool is_place_only = std::count(cursor.begin(), cursor.end(), separator) == 1; // of an earlier version
  auto key = from_hex(take_part(cursor));
  auto id = from_hex(take_part(cursor));
  if (!key || !id || id->empty() || !(key->empty() || *key == "0" || key->starts_with('1')))
    return std::nullopt;
  page_begin begin{document_place(std::move(*key), std::move(*id)), std::nullopt};
  if (is_place_only)
    return begin;
  const auto total = number_from_hex(take_part(cursor));
  const auto stamp = number_from_hex(take_part(cursor));
  const auto filter = number_from_hex(take_part(cursor));
  if (!total || !stamp || !filter || *total < 0 || !cursor.empty())
    return std::nullopt;
  if (*filter == filter_number(wanted) && *stamp != unknown_stamp)
    begin.counted = document_count{*total, *stamp};
  return begin;
}

} // namespace

std::string to_cursor(const find_documents& asked, const document_place& place, const document_count& counted) {
  std::string out = prefix_of(asked.order) + to_hex(place.first) + separator + to_hex(place.second);
  for (const auto number : {counted.total, counted.stamp, filter_number(asked)})
    (out += separator) += number_to_hex(number);
  return out;
}

result<page_begin> read_cursor(const find_documents& wanted) {
  if (const auto* position = std::get_if<document_position>(&wanted.cursor))
    return page_begin{document_place(position->creation_utc ? sort_key_of(*position->creation_utc) : "", position->id),
                      std::nullopt};
  const auto* cursor = std::get_if<std::string>(&wanted.cursor);
  if (!cursor || cursor->empty())
    return page_begin{};
  if (auto begin = parse(wanted, *cursor))
    return std::move(*begin);
  return error{error_code::invalid_request, "the cursor is not one that a page of documents in this order ended with"};
}

} // namespace colloquy::db
