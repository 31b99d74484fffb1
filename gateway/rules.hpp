// What a call takes and gives, as data: requests are checked against it, and the OpenAPI document is made from it, so
// the two cannot disagree.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace colloquy::gateway {

enum class field_kind : std::uint8_t {
  text,         ///< least/most: characters
  integer,      ///< least/most: the value
  boolean,      ///<
  time,         ///< RFC 3339
  uuid,         ///<
  word,         ///< one of `words`
  word_list,    ///< an array of different ones of `words`; least/most: how many
  json_object,  ///< the caller's own, opaque; most: bytes
  content,      ///< of a message: a string or an array of typed parts
  call_list,    ///< of a message: an array of objects that have an id
  any,          ///< any JSON
  shape,        ///< an object of that shape
  shape_list,   ///< an array of such objects; least/most: how many
  message_list, ///< an array of messages, each kept as it came; least/most: how many

  // Of documents.
  text_list,       ///< an array of strings; least/most: how many
  text_map,        ///< an object whose values are strings; most: how many
  offset_map,      ///< an object whose values are integers or null; least/most: the values; `members_max`
  document,        ///< kept as it came
  document_list,   ///< an array of them; least/most: how many
  document_change, ///< what an update sets, kept as it came
  document_fields, ///< an object of any values, each kept as it came; most: how many
  filter,          ///<
  order,           ///< asc, desc, or what they are of
  first_order,     ///< the same, or an array of fields
  place,           ///< a cursor, or the place itself
};

struct shape_rule;

struct field_rule {
  std::string_view name;
  field_kind kind = field_kind::text;
  bool is_required = false; ///< in a reply: always there
  bool may_be_null = false;
  std::int64_t least = 0;
  std::int64_t most = INT64_MAX;
  std::span<const std::string_view> words{};
  const shape_rule* shape = nullptr;
  std::string_view about{};
  std::string_view example{};    ///< as JSON
  std::string_view other_name{}; ///< a field that says the same: of the two one is enough, and both are of one value
  std::size_t members_max = SIZE_MAX;
};

/// An object with these fields and, unless it is open, no others.
struct shape_rule {
  std::string_view name; ///< in the OpenAPI document
  std::string_view about;
  std::span<const field_rule> fields;
  bool is_open = false;
};

} // namespace colloquy::gateway
