#include "tests/support/documents_reference.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <stdexcept>

namespace colloquy::reference {
namespace {

using json = nlohmann::json;

// --- JSON ------------------------------------------------------------------------------------------------------------

class builder {
public:
  bool null() { return add(value::null()); }
  bool boolean(bool truth) { return add(value::boolean(truth)); }
  bool number_integer(std::int64_t number) { return add(value::number(std::to_string(number))); }
  bool number_unsigned(std::uint64_t number) { return add(value::number(std::to_string(number))); }
  bool number_float(long double, const std::string& text) { return add(value::number(text)); }
  bool string(std::string& text) { return add(value::string(text)); }
  bool binary(json::binary_t&) { return false; }
  bool start_object(std::size_t) { return open(kind::object); }
  bool end_object() { return close(); }
  bool start_array(std::size_t) { return open(kind::array); }
  bool end_array() { return close(); }
  bool key(std::string& key) {
    keys_.back() = key;
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) { return false; }

  value whole;

private:
  bool add(value one) {
    if (open_.empty())
      whole = std::move(one);
    else if (open_.back().is == kind::array)
      open_.back().items.push_back(std::move(one));
    else
      open_.back().members.insert_or_assign(keys_.back(), std::move(one));
    return true;
  }
  bool open(kind is) {
    open_.emplace_back();
    open_.back().is = is;
    keys_.emplace_back();
    return true;
  }
  bool close() {
    auto closed = std::move(open_.back());
    open_.pop_back();
    keys_.pop_back();
    return add(std::move(closed));
  }

  std::vector<value> open_;
  std::vector<std::string> keys_;
};

// --- filters ---------------------------------------------------------------------------------------------------------

/// Types count, and neither arrays nor objects equal a literal.
bool is_equal_literal(const value& stored, const value& literal) {
  if (stored.is == kind::array || stored.is == kind::object)
    return false;
  return stored == literal;
}

bool is_in(const value& stored, const std::vector<value>& literals) {
  return std::any_of(literals.begin(), literals.end(),
                     [&](const value& literal) { return is_equal_literal(stored, literal); });
}

/// None: they cannot be ordered.
std::optional<int> order_of(const value& stored, const value& operand) {
  if (stored.is == kind::number && operand.is == kind::number)
    return compare(to_decimal(stored.text), to_decimal(operand.text));
  if (stored.is == kind::string && operand.is == kind::string)
    return stored.text.compare(operand.text); // bytes of UTF-8 are in the order of code points
  return std::nullopt;
}

bool holds(const std::string& op, const value* stored, const value& operand) {
  if (op == "$ne")
    return !holds("$eq", stored, operand);
  if (op == "$nin")
    return !holds("$in", stored, operand);
  if (!stored)
    return false;
  if (op == "$eq")
    return is_equal_literal(*stored, operand);
  if (op == "$in")
    return is_in(*stored, operand.items);
  const auto order = order_of(*stored, operand);
  if (!order)
    return false;
  if (op == "$gt")
    return *order > 0;
  if (op == "$gte")
    return *order >= 0;
  if (op == "$lt")
    return *order < 0;
  if (op == "$lte")
    return *order <= 0;
  throw std::invalid_argument("no such operator: " + op);
}

// --- order -----------------------------------------------------------------------------------------------------------

const value* member(const value& document, const std::string& name) {
  const auto at = document.members.find(name);
  return at == document.members.end() ? nullptr : &at->second;
}

/// Without one a document comes first.
std::optional<std::string> creation_of(const value& document) {
  const auto* creation = member(document, "creation_utc");
  return creation && creation->is == kind::string ? std::optional(creation->text) : std::nullopt;
}

const std::string& id_of(const value& document) {
  return member(document, "id")->text;
}

/// missing, null, booleans, numbers, strings, then arrays and objects.
int rank(const value* of) {
  if (!of)
    return 0;
  switch (of->is) {
  case kind::null:
    return 1;
  case kind::boolean:
    return 2;
  case kind::number:
    return 3;
  case kind::string:
    return 4;
  default:
    return 5;
  }
}

int compare_field(const value* a, const value* b) {
  if (rank(a) != rank(b))
    return rank(a) - rank(b);
  switch (rank(a)) {
  case 2:
    return static_cast<int>(a->truth) - static_cast<int>(b->truth);
  case 3:
    return compare(to_decimal(a->text), to_decimal(b->text));
  case 4:
    return a->text.compare(b->text);
  default:
    return 0;
  }
}

bool is_before(const value& a, const value& b) {
  return std::pair(creation_of(a), id_of(a)) < std::pair(creation_of(b), id_of(b));
}

std::vector<value> all_of(const collection& from, const value& filter, const std::optional<std::string>& user) {
  std::vector<value> found;
  for (const auto& [id, document] : from.documents) {
    const auto* customer = member(document, "customer_id");
    const bool is_theirs = !user || (customer && customer->is == kind::string && customer->text == *user);
    if (is_theirs && matches(filter, document))
      found.push_back(document);
  }
  return found;
}

} // namespace

decimal to_decimal(std::string_view number) {
  decimal made;
  made.sign = 1;
  std::int64_t exponent = 0;
  bool is_behind_point = false;
  for (std::size_t i = 0; i < number.size(); ++i) {
    const char c = number[i];
    if (c == '-') {
      made.sign = -1;
    } else if (c == '.') {
      is_behind_point = true;
    } else if (c == 'e' || c == 'E') {
      exponent = std::stoll(std::string(number.substr(i + 1)));
      break;
    } else {
      made.digits += c;
      made.point += is_behind_point ? 0 : 1;
    }
  }
  made.point += exponent;
  const auto first = made.digits.find_first_not_of('0');
  if (first == std::string::npos)
    return {};
  made.point -= static_cast<std::int64_t>(first);
  made.digits = made.digits.substr(first, made.digits.find_last_not_of('0') + 1 - first);
  return made;
}

int compare(const decimal& a, const decimal& b) {
  if (a.sign != b.sign)
    return a.sign - b.sign;
  if (a.point != b.point)
    return a.sign * (a.point < b.point ? -1 : 1);
  return a.sign * a.digits.compare(b.digits);
}

value value::boolean(bool truth) {
  value made;
  made.is = kind::boolean;
  made.truth = truth;
  return made;
}

value value::number(std::string text) {
  value made;
  made.is = kind::number;
  made.text = std::move(text);
  return made;
}

value value::string(std::string text) {
  value made;
  made.is = kind::string;
  made.text = std::move(text);
  return made;
}

value value::array(std::vector<value> items) {
  value made;
  made.is = kind::array;
  made.items = std::move(items);
  return made;
}

value value::object(std::map<std::string, value> members) {
  value made;
  made.is = kind::object;
  made.members = std::move(members);
  return made;
}

bool operator==(const value& a, const value& b) {
  if (a.is != b.is)
    return false;
  switch (a.is) {
  case kind::null:
    return true;
  case kind::boolean:
    return a.truth == b.truth;
  case kind::number:
    return to_decimal(a.text) == to_decimal(b.text);
  case kind::string:
    return a.text == b.text;
  case kind::array:
    return a.items == b.items;
  case kind::object:
    return a.members == b.members;
  }
  return false;
}

std::string to_json(const value& of) {
  std::string out;
  switch (of.is) {
  case kind::null:
    return "null";
  case kind::boolean:
    return of.truth ? "true" : "false";
  case kind::number:
    return of.text;
  case kind::string:
    return json(of.text).dump();
  case kind::array:
    for (const auto& each : of.items)
      out += (out.empty() ? "" : ",") + to_json(each);
    return "[" + out + "]";
  case kind::object:
    for (const auto& [name, member] : of.members)
      out += (out.empty() ? "" : ",") + json(name).dump() + ":" + to_json(member);
    return "{" + out + "}";
  }
  return out;
}

value from_json(const std::string& text) {
  using exact =
      nlohmann::basic_json<std::map, std::vector, std::string, bool, std::int64_t, std::uint64_t, long double>;
  builder made;
  if (!exact::sax_parse(text, &made))
    throw std::invalid_argument("no JSON: " + text.substr(0, 200));
  return std::move(made.whole);
}

bool matches(const value& filter, const value& document) {
  for (const auto& [name, wanted] : filter.members) {
    const auto part_matches = [&](const value& part) { return matches(part, document); };
    if (name == "$and") {
      if (!std::all_of(wanted.items.begin(), wanted.items.end(), part_matches))
        return false;
    } else if (name == "$or") {
      if (std::none_of(wanted.items.begin(), wanted.items.end(), part_matches))
        return false;
    } else {
      const auto* stored = member(document, name);
      for (const auto& [op, operand] : wanted.members)
        if (!holds(op, stored, operand))
          return false;
    }
  }
  return true;
}

std::vector<value> collection::find(const value& filter, const order& by,
                                    const std::optional<std::string>& user) const {
  auto found = all_of(*this, filter, user);
  std::sort(found.begin(), found.end(), [&](const value& a, const value& b) {
    const auto& [first, second] = by.is_descending ? std::tie(b, a) : std::tie(a, b);
    return by.by == "id" ? id_of(first) < id_of(second) : is_before(first, second);
  });
  return found;
}

std::vector<value> collection::find(const value& filter, const std::vector<field_order>& by,
                                    const std::optional<std::string>& user) const {
  auto found = all_of(*this, filter, user);
  std::sort(found.begin(), found.end(), [&](const value& a, const value& b) {
    for (const auto& each : by)
      if (const auto order = compare_field(member(a, each.field), member(b, each.field)); order != 0)
        return (order < 0) != each.is_descending;
    return is_before(a, b);
  });
  return found;
}

bool is_after(const value& document, const std::optional<std::string>& creation_utc, const std::string& id,
              const order& by) {
  if (by.by == "id")
    return by.is_descending ? id_of(document) < id : id_of(document) > id;
  const auto place = std::pair(creation_of(document), id_of(document));
  return by.is_descending ? place < std::pair(creation_utc, id) : place > std::pair(creation_utc, id);
}

} // namespace colloquy::reference
