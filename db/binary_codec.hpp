// PostgreSQL's binary wire format, as far as our statements need it: parameters out, columns in.
// Big-endian everywhere; a timestamptz is microseconds since 2000-01-01 UTC.
#pragma once

#include "messages/clock.hpp"
#include "messages/ids.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace colloquy::db {

/// Type OIDs are fixed in PostgreSQL's catalog (pg_type.dat).
using oid = std::uint32_t;
namespace oids {
inline constexpr oid boolean = 16;
inline constexpr oid bytea = 17;
inline constexpr oid int8 = 20;
inline constexpr oid int2 = 21;
inline constexpr oid int4 = 23;
inline constexpr oid text = 25;
inline constexpr oid int4_array = 1007;
inline constexpr oid int8_array = 1016;
inline constexpr oid text_array = 1009;
inline constexpr oid timestamptz = 1184;
inline constexpr oid timestamptz_array = 1185;
inline constexpr oid uuid = 2950;
inline constexpr oid uuid_array = 2951;
} // namespace oids

std::string encode_bool(bool value);
std::string encode_int2(std::int16_t value);
std::string encode_int4(std::int32_t value);
std::string encode_int8(std::int64_t value);
std::string encode_uuid(const uuid_bytes& value);
std::string encode_timestamp(timestamp value);

/// Undefined unless the bytes have the type's length. The timestamp 'infinity' is the last there is.
bool decode_bool(std::string_view bytes) noexcept;
std::int16_t decode_int2(std::string_view bytes) noexcept;
std::int32_t decode_int4(std::string_view bytes) noexcept;
std::int64_t decode_int8(std::string_view bytes) noexcept;
uuid_bytes decode_uuid(std::string_view bytes) noexcept;
timestamp decode_timestamp(std::string_view bytes) noexcept;

/// A one-dimensional text[] without nulls; none if it is anything else.
std::optional<std::vector<std::string>> decode_text_array(std::string_view bytes);

/// Builds a one-dimensional array parameter, element by element. An array that got nothing but nulls encodes as an
/// empty one: unnest() of several arrays fills the shorter ones with nulls.
class array_builder {
public:
  array_builder(oid element_type, std::size_t elements_expected, std::size_t bytes_expected);

  void add(std::string_view bytes);
  void add_null();
  void add_int4(std::int32_t value);
  void add_int8(std::int64_t value);
  void add_uuid(const uuid_bytes& value);
  void add_timestamp(timestamp value);
  void add_text_or_null(std::string_view text); ///< "" stands for null

  std::string finish() &&;

private:
  char* grow(std::size_t bytes);

  std::string out_;
  std::int32_t count_ = 0;
  std::int32_t nulls_ = 0;
  oid element_type_;
};

} // namespace colloquy::db
