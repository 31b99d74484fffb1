#include "messages/document_filter.hpp"

#include "messages/document_number.hpp"
#include "messages/filter_reader.hpp"
#include "messages/limits.hpp"
#include "messages/text_checks.hpp"

#include <optional>
#include <utility>

namespace colloquy {
namespace {

/// Hears a number alone.
class number_listener final : public json_listener {
public:
  bool on_key(int, std::string_view) override { return false; }
  bool on_scalar(int, const json_scalar& value) override {
    return (value.kind == json_kind::integer || value.kind == json_kind::number) && !check_document_number(value);
  }
  bool on_open(int, json_kind) override { return false; }
  bool on_close(int) override { return false; }
};

bool is_number(std::string_view text) {
  number_listener listener;
  return scan_json(text, 0, &listener).has_value();
}

bool is_right(const filter_literal& literal) {
  switch (literal.kind) {
  case literal_kind::null:
    return true;
  case literal_kind::boolean:
    return literal.text == "true" || literal.text == "false";
  case literal_kind::number:
    return is_number(literal.text);
  case literal_kind::string:
    return is_storable_text(literal.text);
  }
  return false;
}

std::optional<std::string> problem_of(const field_test& test) {
  if (!is_storable_text(test.field))
    return "a field's name must be valid UTF-8 without NUL";
  const auto place = "the test of " + quoted(test.field);
  if (takes_array(test.op) ? test.operands.size() > limits::filter_values_max : test.operands.size() != 1)
    return place + " has " + std::to_string(test.operands.size()) + " operands; " + std::string(to_string(test.op)) +
           " takes " + (takes_array(test.op) ? "at most " + std::to_string(limits::filter_values_max) : "one");
  for (const auto& each : test.operands)
    if (!is_right(each))
      return place + " has an operand that no JSON of a document could hold";
  return std::nullopt;
}

error invalid(std::string why) {
  return {error_code::invalid_request, std::move(why)};
}

} // namespace

std::string_view to_string(filter_operator op) noexcept {
  return operator_names[static_cast<std::size_t>(op)];
}

result<document_filter> parse_filter(std::string_view json) {
  filter_reader reader;
  // One level more than allowed: the reader refuses it, and names the place.
  if (auto scanned = scan_json(json, limits::filter_depth_max + 1, &reader); !scanned)
    return std::move(scanned.failure());
  return reader.take();
}

result<void> check_filter(const document_filter& filter) {
  std::vector<std::pair<const document_filter*, int>> left{{&filter, 1}};
  std::size_t tests = 0;
  while (!left.empty()) {
    const auto [at, depth] = left.back();
    left.pop_back();
    if (depth > limits::filter_depth_max)
      return invalid("filters nest deeper than the " + std::to_string(limits::filter_depth_max) + " levels allowed");
    if (at->kind != document_filter::what::test) {
      for (const auto& part : at->parts)
        left.emplace_back(&part, depth + 1);
      continue;
    }
    if (++tests > limits::filter_tests_max)
      return invalid("there are more tests than the " + std::to_string(limits::filter_tests_max) + " allowed");
    if (auto problem = problem_of(at->test))
      return invalid(*std::move(problem));
  }
  return {};
}

} // namespace colloquy
