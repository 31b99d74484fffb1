// JSON to values: the fields of a body as the rules say. Every mistake is found, not only the first.
#pragma once

#include "gateway/rules.hpp"
#include "gateway/values.hpp"
#include "messages/limits.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace colloquy::gateway {

/// How large parts of a body may be: settings.
struct size_limits {
  std::size_t message_bytes_max = std::size_t{4} << 20;
  std::size_t metadata_bytes_max = std::size_t{64} << 10;
  std::size_t document_bytes_max = limits::document_bytes_max;
};

/// Mistakes that one reply lists; what is found beyond is only counted.
inline constexpr std::size_t mistakes_max = 50;

class field_reader {
public:
  explicit field_reader(const size_limits& limits)
    : limits_(limits) {}

  /// An object with the shape's fields. `json` is valid JSON. With `others` fields that the shape does not have are
  /// taken, but those named there.
  void read_object(const std::string& pointer, std::string_view json, const shape_rule& shape, values& into);
  void read_open_object(const std::string& pointer, std::string_view json, const shape_rule& shape,
                        std::span<const std::string_view> reserved, values& into);
  /// A message, kept as the text it came as; `json` need not be valid.
  std::optional<event_input> read_message(const std::string& pointer, std::string_view json);
  /// A document, kept as the text it came as; `json` is valid JSON. Whether it is one.
  bool read_document(const std::string& pointer, std::string_view json);
  /// A parameter of the query or the path, or a header: text, to be read as its rule says.
  void read_parameter(mistake::place in, const field_rule& rule, std::string_view text, values& into);

  void add(mistake what);
  void add_too_large(mistake what) {
    is_too_large_ = true;
    add(std::move(what));
  }
  const std::vector<mistake>& mistakes() const noexcept { return mistakes_; }
  std::size_t count() const noexcept { return count_; }
  /// Something is over a limit of size: the reply is payload_too_large.
  bool is_too_large() const noexcept { return is_too_large_; }

private:
  void complain(const std::string& pointer, std::string detail) {
    add({mistake::place::body, pointer, std::move(detail)});
  }
  void refuse(const std::string& pointer, const field_rule& rule);
  void settle_names(const std::string& pointer, const shape_rule& shape, values& into);
  std::optional<field_value> read(const std::string& pointer, const field_rule& rule, std::string_view json);
  std::optional<field_value> read_any(const std::string& pointer, const field_rule& rule, std::string_view json);
  std::optional<field_value> read_scalar(const std::string& pointer, const field_rule& rule, std::string_view json);
  std::optional<field_value> read_words(const std::string& pointer, const field_rule& rule, std::string_view json);
  std::optional<field_value> read_messages(const std::string& pointer, const field_rule& rule, std::string_view json);
  std::optional<field_value> read_json_object(const std::string& pointer, const field_rule& rule,
                                              std::string_view json);
  std::optional<field_value> read_shapes(const std::string& pointer, const field_rule& rule, std::string_view json);
  // Of documents: field_reader_documents.cpp.
  std::optional<field_value> read_of_documents(const std::string& pointer, const field_rule& rule,
                                               std::string_view json);
  std::optional<field_value> read_texts(const std::string& pointer, const field_rule& rule, std::string_view json);
  std::optional<field_value> read_offsets(const std::string& pointer, const field_rule& rule, std::string_view json);
  std::optional<field_value> read_pairs(const std::string& pointer, const field_rule& rule, std::string_view json);
  std::optional<field_value> read_documents(const std::string& pointer, const field_rule& rule, std::string_view json);
  std::optional<field_value> read_change(const std::string& pointer, std::string_view json);
  std::optional<field_value> read_filter(const std::string& pointer, std::string_view json);
  std::optional<field_value> read_order(const std::string& pointer, const field_rule& rule, std::string_view json);
  std::optional<field_value> read_field_orders(const std::string& pointer, const field_rule& rule,
                                               std::string_view json);
  std::optional<field_value> read_place(const std::string& pointer, const field_rule& rule, std::string_view json);
  void complain_of(const std::string& pointer, std::string_view json, const error& why);
  bool read_members(const std::string& pointer, std::string_view json, const shape_rule& shape, values& into,
                    const std::span<const std::string_view>* reserved);

  size_limits limits_;
  std::vector<mistake> mistakes_;
  std::size_t count_ = 0;
  bool is_too_large_ = false;
};

/// What a rule allows, as a sentence reads on: "a string of 1 to 255 characters".
std::string allowed_by(const field_rule& rule);

/// "did you mean ...?" or the names there are.
std::string suggestion(std::string_view wrong, std::span<const field_rule> fields);

/// The same for any names.
std::string suggestion(std::string_view wrong, const std::vector<std::string>& known);

} // namespace colloquy::gateway
