// What a query over documents asks for: a tree of tests, read from JSON once and then passed around as a value.
//
// The grammar and its meaning are those that agent frameworks use for their stores:
//   {"field": {"$op": literal, ...}, ...}    every operator of every field must hold; {} matches all
//   {"$and": [filter, ...]}                  all must hold; of [] that is true
//   {"$or": [filter, ...]}                   one must hold; of [] none does. May stand beside fields: then all hold
// Operators: $eq $ne $gt $gte $lt $lte take one literal, $in $nin an array of them. A literal is a string, number,
// boolean or null. A field's name may be any string but $and and $or; a dot in it is part of it.
#pragma once

#include "messages/error.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace colloquy {

enum class filter_operator : std::uint8_t { eq, ne, gt, gte, lt, lte, in, nin };
std::string_view to_string(filter_operator op) noexcept; ///< as in "$eq"

/// Types count: "10", 10 and true are three values. Numbers are compared by value, of any size and precision: 2 and
/// 2.0 are one.
enum class literal_kind : std::uint8_t { null, boolean, number, string };

struct filter_literal {
  literal_kind kind = literal_kind::null;
  std::string text{}; ///< of a string: decoded; of a number: as it was spelled; "true" or "false"; of null: ""
  auto operator<=>(const filter_literal&) const = default;
};

/// One field, one operator. eq, ranges and `in` do not hold where the field is missing; ne is the exact complement of
/// eq, nin of in. Ranges compare numbers with numbers and strings with strings, by code point, and hold for nothing of
/// another type: a boolean or null operand of a range matches nothing. No test looks into an array.
struct field_test {
  std::string field;
  filter_operator op = filter_operator::eq;
  std::vector<filter_literal> operands{}; ///< one; of in and nin any number up to limits::filter_values_max
};

/// `all` of the parts hold (true of none), or `any` of them (false of none), or the one test does.
struct document_filter {
  enum class what : std::uint8_t { all, any, test };
  what kind = what::all;
  std::vector<document_filter> parts{}; ///< of all and any
  field_test test{};                    ///< of test
};

/// Junctions of one part come as that part. Errors: invalid_request; the message begins with the JSON pointer of the
/// place, as in "/status/$in must be an array of strings, numbers, booleans or null", or with no slash if it is about
/// the whole text ("the filter must be ..."; "not valid JSON at byte ..."). Refused are: what is no object; a literal,
/// an empty object or an array in an operator's place; unknown operators; wrong operands; a number with more than
/// limits::document_number_digits_max digits; nesting beyond limits::filter_depth_max; more than
/// limits::filter_tests_max tests; and all that scan_json refuses.
result<document_filter> parse_filter(std::string_view json);

/// The same bounds for a filter that was put together in code: as many operands as its operator takes, names and
/// strings that are valid UTF-8 without NUL, numbers that are JSON, and filters inside each other no deeper than
/// limits::filter_depth_max. Errors: invalid_request.
result<void> check_filter(const document_filter& filter);

} // namespace colloquy
