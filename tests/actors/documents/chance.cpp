#include "tests/actors/documents/chance.hpp"

#include <utility>

namespace colloquy::chance {
namespace {

using reference::value;

const std::vector<std::string>& fields() {
  static const std::vector<std::string> all{"a",
                                            "b",
                                            "A",
                                            "a.b",
                                            "status",
                                            "id",
                                            "version",
                                            "creation_utc",
                                            "customer_id",
                                            "session_id",
                                            "agent_id",
                                            "data",
                                            "",
                                            "$1",
                                            "%s",
                                            "$eq",
                                            "'; DROP TABLE documents; --",
                                            "quote\"d \\ \n",
                                            "größe 😀",
                                            "missing"};
  return all;
}

const std::vector<std::string>& strings() {
  static const std::vector<std::string> all{"",
                                            "a",
                                            "A",
                                            "b",
                                            "B",
                                            "aa",
                                            "a b",
                                            "10",
                                            "2",
                                            "9",
                                            "2.0",
                                            "true",
                                            "null",
                                            "ada",
                                            "bob",
                                            "é",
                                            "e",
                                            "z",
                                            "\xEF\xBF\xBD", // above all surrogates in UTF-16, below in UTF-8
                                            "😀",
                                            "'",
                                            "\"; SELECT 1; --",
                                            "%s %d $1 $$",
                                            "\\",
                                            "\n\t",
                                            "\x01",
                                            "{}",
                                            "[1]",
                                            std::string(300, 'x'),
                                            std::string(300, 'x') + "y",
                                            std::string(9000, 'k')};
  return all;
}

const std::vector<std::string>& numbers() {
  static const std::vector<std::string> all{"0",
                                            "-0",
                                            "0.0",
                                            "1",
                                            "1.0",
                                            "-1",
                                            "2",
                                            "2.0",
                                            "2.50",
                                            "2.5",
                                            "10",
                                            "1e1",
                                            "100E-1",
                                            "9",
                                            "9007199254740992",
                                            "9007199254740993",
                                            "9007199254740993.0",
                                            "-9007199254740993",
                                            "9223372036854775807",
                                            "9223372036854775808",
                                            "18446744073709551615",
                                            "18446744073709551616",
                                            "123456789012345678901234567890",
                                            "0.1",
                                            "0.1000000000000000000000000001",
                                            "0.30000000000000004",
                                            "1e300",
                                            "1e400",
                                            "1.0e400",
                                            "-1e400",
                                            "1e-400",
                                            "-1e-400"};
  return all;
}

const std::vector<std::string> creations{"",
                                         "2024-01-01T00:00:00Z",
                                         "2024-01-01T00:00:00+00:00",
                                         "2024-01-01T00:00:00.000001Z",
                                         "2024-01-02T00:00:00Z",
                                         "2023-12-31T23:59:59Z",
                                         "a",
                                         "A",
                                         "é",
                                         "😀"};

value literals(source& from) {
  std::vector<value> all;
  for (auto left = from.below(5); left > 0; --left)
    all.push_back(from.scalar());
  return value::array(std::move(all));
}

} // namespace

std::string source::field() {
  // The first ones meet more often.
  return one_in(2) ? fields()[below(5)] : of(fields());
}

value source::scalar() {
  switch (below(8)) {
  case 0:
    return value::null();
  case 1:
    return value::boolean(one_in(2));
  case 2:
  case 3:
  case 4:
    return value::number(of(numbers()));
  default:
    return value::string(of(strings()));
  }
}

value source::any_value(int depth_max) {
  if (depth_max == 0 || !one_in(5))
    return scalar();
  if (one_in(2)) {
    std::vector<value> items;
    for (auto left = below(4); left > 0; --left)
      items.push_back(any_value(depth_max - 1));
    return value::array(std::move(items));
  }
  std::map<std::string, value> members;
  for (auto left = below(4); left > 0; --left)
    members.insert_or_assign(field(), any_value(depth_max - 1));
  return value::object(std::move(members));
}

value source::creation() {
  return one_in(6) ? value::null() : value::string(of(creations));
}

std::string source::id() {
  return of(strings()).substr(0, 200) + "#" + std::to_string(below(60));
}

value source::document(const std::string& id) {
  std::map<std::string, value> members;
  for (auto left = below(7); left > 0; --left)
    members.insert_or_assign(field(), any_value(3));
  if (one_in(2))
    members.insert_or_assign("customer_id", one_in(4) ? scalar() : value::string(one_in(2) ? "ada" : "bob"));
  members.insert_or_assign("id", value::string(id));
  members.insert_or_assign("version", one_in(4) ? value::null() : value::string("0." + std::to_string(below(3))));
  members.insert_or_assign("creation_utc", creation());
  return value::object(std::move(members));
}

value source::operators() {
  static const std::vector<std::string> comparing{"$eq", "$ne", "$gt", "$gte", "$lt", "$lte"};
  std::map<std::string, value> made;
  for (auto left = one_in(4) ? 2 : 1; left > 0; --left) {
    if (one_in(4))
      made.insert_or_assign(one_in(2) ? "$in" : "$nin", literals(*this));
    else
      made.insert_or_assign(one_in(2) ? "$eq" : of(comparing), scalar());
  }
  return value::object(std::move(made));
}

value source::filter(int depth_max) {
  std::map<std::string, value> made;
  for (auto left = below(3); left > 0; --left) {
    auto name = field();
    auto tests = operators();
    if (name == "creation_utc" && one_in(2))
      tests = value::object({{one_in(2) ? "$gte" : "$lt", value::string(of(creations))}});
    if (name == "customer_id" && one_in(2))
      tests = value::object({{"$eq", value::string(one_in(2) ? "ada" : "bob")}});
    made.insert_or_assign(std::move(name), std::move(tests));
  }
  if (depth_max > 0)
    for (const auto* junction : {"$and", "$or"})
      if (one_in(3)) {
        std::vector<value> parts;
        for (auto left = below(4); left > 0; --left)
          parts.push_back(filter(depth_max - 1));
        made.insert_or_assign(junction, value::array(std::move(parts)));
      }
  return value::object(std::move(made));
}

value source::changes(const std::vector<std::string>& ids) {
  std::map<std::string, value> made;
  for (auto left = 1 + below(3); left > 0; --left)
    made.insert_or_assign(field(), any_value(2));
  made.erase("id");
  made.erase("version");
  made.erase("creation_utc");
  if (one_in(6))
    made.insert_or_assign("id", value::string(one_in(3) && !ids.empty() ? of(ids) : id()));
  if (one_in(6))
    made.insert_or_assign("creation_utc", creation());
  if (one_in(6))
    made.insert_or_assign("version", value::null());
  if (made.empty() || one_in(8))
    made.insert_or_assign("customer_id", one_in(3) ? value::null() : value::string(one_in(2) ? "ada" : "bob"));
  return value::object(std::move(made));
}

reference::order source::order() {
  return {one_in(3) ? "id" : "creation_utc", one_in(2)};
}

std::vector<reference::field_order> source::field_orders() {
  std::vector<reference::field_order> made;
  for (auto left = 1 + below(3); left > 0; --left)
    made.push_back({field(), one_in(2)});
  return made;
}

std::optional<std::string> source::user() {
  return one_in(6) ? std::optional<std::string>(one_in(2) ? "ada" : "bob") : std::nullopt;
}

} // namespace colloquy::chance
