#include "messages/filter_reader.hpp"

#include "messages/document_number.hpp"
#include "messages/limits.hpp"
#include "messages/nearest_name.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace colloquy {
namespace {

constexpr std::array<std::string_view, 2> junction_names{"$and", "$or"};

bool is_junction(std::string_view key) {
  return std::find(junction_names.begin(), junction_names.end(), key) != junction_names.end();
}

/// All or any of one part is that part.
document_filter simplified(document_filter filter) {
  if (filter.kind == document_filter::what::test || filter.parts.size() != 1)
    return filter;
  auto only = std::move(filter.parts.front());
  return only;
}

filter_literal literal_of(const json_scalar& value) {
  switch (value.kind) {
  case json_kind::boolean:
    return {literal_kind::boolean, value.integer != 0 ? "true" : "false"};
  case json_kind::integer:
    return {literal_kind::number, std::to_string(value.integer)};
  case json_kind::number:
    return {literal_kind::number, std::string(value.number)};
  case json_kind::string:
    return {literal_kind::string, std::string(value.string)};
  default:
    return {};
  }
}

} // namespace

bool filter_reader::on_key(int, std::string_view key) {
  place_.on_key(key);
  auto& in = open_.back();
  if (in.kind == place_kind::filter) {
    in.key = key;
    return true;
  }
  const auto at = std::find(operator_names.begin(), operator_names.end(), key);
  if (at == operator_names.end())
    return refuse_operator(key);
  in.op = static_cast<filter_operator>(at - operator_names.begin());
  in.has_operators = true;
  return true;
}

bool filter_reader::on_scalar(int, const json_scalar& value) {
  place_.on_value();
  if (open_.empty())
    return refuse_value();
  auto& in = open_.back();
  if (in.kind == place_kind::values)
    return take_literal(in, value);
  if (in.kind != place_kind::operators || takes_array(in.op))
    return refuse_value();
  if (auto problem = check_document_number(value))
    return refuse_here(*problem);
  return add_test(in, {literal_of(value)});
}

bool filter_reader::on_open(int depth, json_kind kind) {
  place_.on_value();
  if (depth == limits::filter_depth_max)
    return refuse_here("nests deeper than the " + std::to_string(limits::filter_depth_max) + " levels allowed");
  if (open_.empty())
    return kind == json_kind::object ? open(place_kind::filter) : refuse_value();
  const auto& in = open_.back();
  switch (in.kind) {
  case place_kind::filter:
    return open_in_filter(kind);
  case place_kind::filters:
    return kind == json_kind::object ? open(place_kind::filter) : refuse_value();
  case place_kind::operators:
    return kind == json_kind::array && takes_array(in.op) ? open(place_kind::values) : refuse_value();
  case place_kind::values:
    break;
  }
  return refuse_value();
}

bool filter_reader::on_close(int) {
  place_.on_close();
  auto done = std::move(open_.back());
  open_.pop_back();
  if (done.kind == place_kind::values)
    return add_test(open_.back(), std::move(done.literals));
  if (done.kind == place_kind::operators)
    return done.has_operators || refuse_here("has no operator; allowed are $eq, $ne, $gt, $gte, $lt, $lte, $in, $nin");
  auto node = simplified(std::move(done.node));
  if (open_.empty())
    whole_ = std::move(node);
  else
    open_.back().node.parts.push_back(std::move(node));
  return true;
}

bool filter_reader::open_in_filter(json_kind kind) {
  const auto& key = open_.back().key;
  const bool wants_array = is_junction(key);
  if ((kind == json_kind::array) != wants_array)
    return refuse_value();
  if (!wants_array)
    return open(place_kind::operators);
  return open(place_kind::filters, key == "$or" ? document_filter::what::any : document_filter::what::all);
}

bool filter_reader::open(place_kind kind, document_filter::what node_kind) {
  frame opened;
  opened.kind = kind;
  opened.node.kind = node_kind;
  if (kind == place_kind::operators)
    opened.key = open_.back().key;
  if (kind == place_kind::values)
    opened.op = open_.back().op;
  open_.push_back(std::move(opened));
  place_.on_open(kind == place_kind::filters || kind == place_kind::values ? json_kind::array : json_kind::object);
  return true;
}

bool filter_reader::take_literal(frame& in, const json_scalar& value) {
  if (auto problem = check_document_number(value))
    return refuse_here(*problem);
  if (in.literals.size() == limits::filter_values_max)
    return refuse_here("is one value too many; at most " + std::to_string(limits::filter_values_max) + " are allowed");
  in.literals.push_back(literal_of(value));
  return true;
}

bool filter_reader::add_test(frame& operators, std::vector<filter_literal> operands) {
  if (++tests_ > limits::filter_tests_max)
    return refuse_here("is one test too many; at most " + std::to_string(limits::filter_tests_max) + " are allowed");
  document_filter node;
  node.kind = document_filter::what::test;
  node.test = {operators.key, operators.op, std::move(operands)};
  open_[open_.size() - 2].node.parts.push_back(std::move(node));
  return true;
}

bool filter_reader::refuse_here(std::string_view why) {
  const auto pointer = place_.pointer();
  return refuse({error_code::invalid_request, (pointer.empty() ? "the filter" : pointer) + " " + std::string(why)});
}

/// A value that cannot stand where it does.
bool filter_reader::refuse_value() {
  if (open_.empty() || open_.back().kind == place_kind::filters)
    return refuse_here("must be an object of fields with operators, as in {\"status\": {\"$eq\": \"open\"}}");
  const auto& in = open_.back();
  if (in.kind == place_kind::filter && is_junction(in.key))
    return refuse_here("must be an array of filters");
  if (in.kind == place_kind::filter) {
    const auto meant = in.key.starts_with('$') ? nearest_name(in.key, junction_names) : std::string_view();
    return refuse_here("must be an object of operators, as in {\"$eq\": 1}" +
                       (meant.empty() ? "" : "; or did you mean '" + std::string(meant) + "'?"));
  }
  if (in.kind == place_kind::operators && takes_array(in.op))
    return refuse_here("must be an array of strings, numbers, booleans or null");
  return refuse_here("must be one string, number, boolean or null");
}

bool filter_reader::refuse_operator(std::string_view key) {
  auto why = std::string("is no operator");
  if (const auto meant = nearest_name(key, operator_names); !meant.empty())
    why += "; did you mean '" + std::string(meant) + "'?";
  return refuse_here(why + "; allowed are $eq, $ne, $gt, $gte, $lt, $lte, $in, $nin");
}

} // namespace colloquy
