#include "db/document_filter_sql.hpp"

#include <algorithm>
#include <iterator>

namespace colloquy::db {
namespace {

using what = document_filter::what;

bool is_positive_equality(filter_operator op) {
  return op == filter_operator::eq || op == filter_operator::in;
}

bool is_equality(filter_operator op) {
  return is_positive_equality(op) || op == filter_operator::ne || op == filter_operator::nin;
}

bool is_negative(filter_operator op) {
  return op == filter_operator::ne || op == filter_operator::nin;
}

std::string_view comparison(filter_operator op) {
  switch (op) {
  case filter_operator::gt:
    return ">";
  case filter_operator::gte:
    return ">=";
  case filter_operator::lt:
    return "<";
  case filter_operator::lte:
    return "<=";
  default:
    return "=";
  }
}

/// Beyond so many values a hash table is faster than looking through the array.
constexpr std::size_t array_values_max = 16;

/// Whether an expression that may be null is one of an array's elements: true or false.
std::string one_of(const std::string& value, const std::string& array, std::size_t count) {
  return count <= array_values_max ? "coalesce(" + value + " = ANY (" + array + "), false)"
                                   : "coalesce(" + value + " IN (SELECT unnest(" + array + ")), false)";
}

std::string negated_if(bool is_negated, std::string condition) {
  return is_negated ? "NOT " + condition : condition;
}

class writer {
public:
  writer(composed_statement& statement, const std::string& document)
    : statement_(statement)
    , document_(document) {}

  std::string write(const document_filter& where) {
    if (where.kind == what::test)
      return write(where.test);
    if (where.parts.empty())
      return where.kind == what::all ? "true" : "false";
    std::string out = "(";
    for (const auto& part : where.parts)
      out += (out.size() > 1 ? (where.kind == what::all ? " AND " : " OR ") : "") + write(part);
    return out + ")";
  }

private:
  std::string write(const field_test& test) {
    if (test.field == "id")
      return write_column(test, column("id"), {});
    if (test.field == "creation_utc")
      return write_column(test, column("sort_key"), "1");
    return is_equality(test.op) ? write_equality(test) : write_range(test);
  }

  std::string column(std::string_view name) const { return document_ + "." + std::string(name); }

  /// Two fields have columns that say all of them: `prefix` stands before every string there, and a stored null is "".
  std::string write_column(const field_test& test, const std::string& column, const std::string& prefix) {
    if (!is_equality(test.op))
      return write_column_range(test, column, prefix);
    std::vector<std::string> values;
    for (const auto& each : test.operands)
      if (each.kind == literal_kind::string)
        values.push_back(prefix + each.text);
      else if (each.kind == literal_kind::null && !prefix.empty())
        values.emplace_back();
    const bool negated = is_negative(test.op);
    if (values.empty())
      return negated ? "true" : "false";
    if (values.size() == 1 && !negated && !prefix.empty())
      return write_same_place(column, statement_.add_text(values.front()));
    if (values.size() == 1)
      return column + (negated ? " <> " : " = ") + statement_.add_text(values.front());
    return negated_if(negated, column + " = ANY (" + statement_.add_texts(values) + ")");
  }

  /// Not an equality: of equal sort keys the order is that of the ids, for which the planner might go by the key,
  /// through all of them.
  static std::string write_same_place(const std::string& column, const std::string& value) {
    return "(" + column + " >= " + value + " AND " + column + " <= " + value + ")";
  }

  std::string write_column_range(const field_test& test, const std::string& column, const std::string& prefix) {
    const auto& operand = test.operands.front();
    if (operand.kind != literal_kind::string)
      return "false";
    const auto condition =
        column + " " + std::string(comparison(test.op)) + " " + statement_.add_text(prefix + operand.text);
    return prefix.empty() ? condition : "(" + condition + " AND " + column + " >= '1')";
  }

  std::string write_equality(const field_test& test) {
    const auto value = "(" + document_ + ".data -> " + field(test) + ")";
    if (test.op == filter_operator::eq || test.op == filter_operator::ne)
      return value + (test.op == filter_operator::eq ? " = " : " IS DISTINCT FROM ") +
             statement_.add_jsonb(to_json(test.operands.front()));
    std::vector<std::string> values;
    for (const auto& each : test.operands)
      values.push_back(to_json(each));
    return negated_if(is_negative(test.op), one_of(value, statement_.add_jsonbs(values), values.size()));
  }

  /// jsonb compares numbers with numbers by value, but strings by the database's collation.
  std::string write_range(const field_test& test) {
    const auto& operand = test.operands.front();
    const auto op = " " + std::string(comparison(test.op)) + " ";
    if (operand.kind != literal_kind::number && operand.kind != literal_kind::string)
      return "false";
    const auto name = field(test);
    const auto value = document_ + ".data -> " + name;
    if (operand.kind == literal_kind::number)
      return "(jsonb_typeof(" + value + ") = 'number' AND (" + value + ")" + op +
             statement_.add_jsonb(to_json(operand)) + ")";
    return "(jsonb_typeof(" + value + ") = 'string' AND (" + document_ + ".data ->> " + name + ") COLLATE \"C\"" + op +
           statement_.add_text(operand.text) + ")";
  }

  std::string field(const field_test& test) { return statement_.add_text(test.field); }

  composed_statement& statement_;
  const std::string& document_;
};

std::optional<filter_cover> cover_of(const field_test& test) {
  if (!is_positive_equality(test.op))
    return std::nullopt;
  filter_cover cover;
  for (const auto& each : test.operands) {
    const bool is_string = each.kind == literal_kind::string;
    if (test.field != "id" && test.field != "creation_utc")
      cover.terms.emplace_back(test.field, to_json(each));
    else if (test.field == "id" && is_string)
      cover.ids.push_back(each.text);
    else if (test.field != "id" && (is_string || each.kind == literal_kind::null))
      cover.sort_keys.push_back(is_string ? sort_key_of(each.text) : "");
  }
  return cover;
}

/// All of what one of the parts needs.
std::optional<filter_cover> cover_of_any(const std::vector<document_filter>& parts) {
  filter_cover cover;
  const auto append = [](auto& to, auto& from) {
    to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
  };
  for (const auto& part : parts) {
    auto of_part = find_cover(part);
    if (!of_part)
      return std::nullopt;
    if (of_part->is_any_enough)
      of_part->terms.resize(1);
    append(cover.ids, of_part->ids);
    append(cover.sort_keys, of_part->sort_keys);
    append(cover.terms, of_part->terms);
  }
  return cover;
}

/// Rarely does a filter name more equalities, and each costs a look at the index.
constexpr std::size_t alternatives_max = 8;

bool is_one_term(const filter_cover& cover) {
  return cover.terms.size() == 1 && cover.size() == 1;
}

/// Ids first, which are at most one document each; then any field's one value, whichever is the rarest; then the
/// fewest.
std::optional<filter_cover> cover_of_all(const std::vector<document_filter>& parts) {
  std::optional<filter_cover> best;
  filter_cover alternatives;
  const auto is_only_ids = [](const filter_cover& cover) { return cover.ids.size() == cover.size(); };
  for (const auto& part : parts) {
    auto of_part = find_cover(part);
    if (!of_part)
      continue;
    if (is_one_term(*of_part) || of_part->is_any_enough) {
      for (auto& term : of_part->terms)
        if (alternatives.terms.size() < alternatives_max)
          alternatives.terms.push_back(std::move(term));
      continue;
    }
    const auto rank = [&](const filter_cover& cover) { return std::pair(!is_only_ids(cover), cover.size()); };
    if (!best || rank(*of_part) < rank(*best))
      best = std::move(of_part);
  }
  if (alternatives.terms.empty() || (best && is_only_ids(*best)))
    return best;
  alternatives.is_any_enough = alternatives.terms.size() > 1;
  return alternatives;
}

} // namespace

document_filter with_user(const document_filter& where, const std::optional<std::string>& as_user) {
  if (!as_user)
    return where;
  document_filter own;
  own.kind = what::test;
  own.test = {"customer_id", filter_operator::eq, {{literal_kind::string, *as_user}}};
  document_filter both;
  both.parts = {std::move(own), where};
  return both;
}

std::string to_sql(composed_statement& statement, const document_filter& where, const std::string& document) {
  return writer(statement, document).write(where);
}

std::optional<filter_cover> find_cover(const document_filter& where) {
  switch (where.kind) {
  case what::all:
    return cover_of_all(where.parts);
  case what::any:
    return cover_of_any(where.parts);
  case what::test:
    break;
  }
  return cover_of(where.test);
}

} // namespace colloquy::db
