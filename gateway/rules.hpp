// What a call takes and gives, as data: requests are checked against it, and the OpenAPI document is made from it, so
// the two cannot disagree.
#pragma once

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
  std::string_view example{}; ///< as JSON
};

/// An object with these fields and no others.
struct shape_rule {
  std::string_view name; ///< in the OpenAPI document
  std::string_view about;
  std::span<const field_rule> fields;
};

} // namespace colloquy::gateway
