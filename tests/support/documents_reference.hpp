// What a query over documents means, once more: written from the reference of the document store alone, as plainly as
// it can be, sharing no code with the product. Numbers are kept as decimals of any size. Slow on purpose.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace colloquy::reference {

/// sign * 0.digits * 10^point, digits without zeros at either end; of zero there are none. So equal numbers are equal.
struct decimal {
  int sign = 0;
  std::string digits;
  std::int64_t point = 0;
  bool operator==(const decimal&) const = default;
};
decimal to_decimal(std::string_view json_number);
/// Less than 0, 0, or more than 0.
int compare(const decimal& a, const decimal& b);

enum class kind { null, boolean, number, string, array, object };

/// A JSON value. Objects keep no order.
struct value {
  kind is = kind::null;
  bool truth = false;
  std::string text{}; ///< of a string, or a number as it is spelled
  std::vector<value> items{};
  std::map<std::string, value> members{};

  static value null() { return {}; }
  static value boolean(bool truth);
  static value number(std::string text);
  static value string(std::string text);
  static value array(std::vector<value> items);
  static value object(std::map<std::string, value> members);
};
/// By meaning: 2 and 2.0 are one.
bool operator==(const value& a, const value& b);

std::string to_json(const value& of);
/// Throws if it is no JSON.
value from_json(const std::string& text);

/// Whether the document matches the filter, which is JSON as a caller writes it, and right.
bool matches(const value& filter, const value& document);

struct order {
  std::string by = "creation_utc"; ///< or "id"
  bool is_descending = false;
};
struct field_order {
  std::string field;
  bool is_descending = false;
};

/// The documents of one collection, by id.
class collection {
public:
  std::map<std::string, value> documents;

  /// In order; as `user`, if there is one, only what is that user's.
  std::vector<value> find(const value& filter, const order& by, const std::optional<std::string>& user) const;
  std::vector<value> find(const value& filter, const std::vector<field_order>& by,
                          const std::optional<std::string>& user) const;
};

/// Whether it comes strictly after that place.
bool is_after(const value& document, const std::optional<std::string>& creation_utc, const std::string& id,
              const order& by);

} // namespace colloquy::reference
