#include "db/binary_codec.hpp"

#include <bit>
#include <cstring>
#include <limits>

namespace colloquy::db {
namespace {

// 2000-01-01 counted from the Unix epoch.
constexpr std::int64_t postgres_epoch_us = 946'684'800'000'000;

constexpr std::size_t array_header_bytes = 20;

template <class Unsigned>
constexpr Unsigned to_network(Unsigned value) noexcept {
  if constexpr (std::endian::native == std::endian::little) {
    if constexpr (sizeof(Unsigned) == 2)
      return __builtin_bswap16(value);
    else if constexpr (sizeof(Unsigned) == 4)
      return __builtin_bswap32(value);
    else
      return __builtin_bswap64(value);
  }
  return value;
}

template <class Unsigned>
void store(char* at, Unsigned value) noexcept {
  value = to_network(value);
  std::memcpy(at, &value, sizeof value);
}

template <class Unsigned>
Unsigned load(const char* at) noexcept {
  Unsigned value{};
  std::memcpy(&value, at, sizeof value);
  return to_network(value);
}

template <class Unsigned>
std::string encode(Unsigned value) {
  std::string out(sizeof value, '\0');
  store(out.data(), value);
  return out;
}

std::int64_t to_postgres_us(timestamp value) noexcept {
  return value.time_since_epoch().count() - postgres_epoch_us;
}

} // namespace

std::string encode_bool(bool value) {
  return std::string(1, value ? '\1' : '\0');
}
std::string encode_int2(std::int16_t value) {
  return encode(static_cast<std::uint16_t>(value));
}
std::string encode_int4(std::int32_t value) {
  return encode(static_cast<std::uint32_t>(value));
}
std::string encode_int8(std::int64_t value) {
  return encode(static_cast<std::uint64_t>(value));
}
std::string encode_uuid(const uuid_bytes& value) {
  std::string out(value.size(), '\0');
  std::memcpy(out.data(), value.data(), value.size());
  return out;
}
std::string encode_timestamp(timestamp value) {
  return encode_int8(to_postgres_us(value));
}

bool decode_bool(std::string_view bytes) noexcept {
  return bytes[0] != '\0';
}
std::int16_t decode_int2(std::string_view bytes) noexcept {
  return static_cast<std::int16_t>(load<std::uint16_t>(bytes.data()));
}
std::int32_t decode_int4(std::string_view bytes) noexcept {
  return static_cast<std::int32_t>(load<std::uint32_t>(bytes.data()));
}
std::int64_t decode_int8(std::string_view bytes) noexcept {
  return static_cast<std::int64_t>(load<std::uint64_t>(bytes.data()));
}
uuid_bytes decode_uuid(std::string_view bytes) noexcept {
  uuid_bytes out{};
  std::memcpy(out.data(), bytes.data(), out.size());
  return out;
}
timestamp decode_timestamp(std::string_view bytes) noexcept {
  const auto since_2000 = decode_int8(bytes);
  if (since_2000 > std::numeric_limits<std::int64_t>::max() - postgres_epoch_us) // 'infinity'
    return timestamp::max();
  return timestamp{std::chrono::microseconds{since_2000 + postgres_epoch_us}};
}

std::optional<std::vector<std::string>> decode_text_array(std::string_view bytes) {
  if (bytes.size() < 12)
    return std::nullopt;
  const auto dimensions = load<std::uint32_t>(bytes.data());
  std::vector<std::string> out;
  if (dimensions == 0)
    return out;
  if (dimensions != 1 || bytes.size() < array_header_bytes || load<std::uint32_t>(bytes.data() + 8) != oids::text)
    return std::nullopt;
  const auto count = load<std::uint32_t>(bytes.data() + 12);
  bytes.remove_prefix(array_header_bytes);
  for (std::uint32_t i = 0; i < count; ++i) {
    if (bytes.size() < 4)
      return std::nullopt;
    const auto length = load<std::uint32_t>(bytes.data());
    bytes.remove_prefix(4);
    if (length > bytes.size()) // a null's length is -1, which is over any size
      return std::nullopt;
    out.emplace_back(bytes.substr(0, length));
    bytes.remove_prefix(length);
  }
  return out;
}

array_builder::array_builder(oid element_type, std::size_t elements_expected, std::size_t bytes_expected)
  : element_type_(element_type) {
  out_.reserve(array_header_bytes + elements_expected * 4 + bytes_expected);
  out_.resize(array_header_bytes);
}

char* array_builder::grow(std::size_t bytes) {
  const auto at = out_.size();
  out_.resize(at + 4 + bytes);
  store(out_.data() + at, static_cast<std::uint32_t>(bytes));
  ++count_;
  return out_.data() + at + 4;
}

void array_builder::add(std::string_view bytes) {
  std::uint32_t length = to_network(static_cast<std::uint32_t>(bytes.size()));
  char prefix[4];
  std::memcpy(prefix, &length, sizeof prefix);
  out_.append(prefix, sizeof prefix);
  out_.append(bytes);
  ++count_;
}

void array_builder::add_null() {
  out_.append("\xff\xff\xff\xff", 4);
  ++count_;
  ++nulls_;
}

void array_builder::add_int4(std::int32_t value) {
  store(grow(4), static_cast<std::uint32_t>(value));
}
void array_builder::add_int8(std::int64_t value) {
  store(grow(8), static_cast<std::uint64_t>(value));
}
void array_builder::add_uuid(const uuid_bytes& value) {
  std::memcpy(grow(value.size()), value.data(), value.size());
}
void array_builder::add_timestamp(timestamp value) {
  add_int8(to_postgres_us(value));
}
void array_builder::add_text_or_null(std::string_view text) {
  if (text.empty())
    add_null();
  else
    add(text);
}

std::string array_builder::finish() && {
  if (count_ == nulls_) { // no dimension: the empty array
    out_.assign(12, '\0');
    store(out_.data() + 8, element_type_);
    return std::move(out_);
  }
  store(out_.data(), std::uint32_t{1});
  store(out_.data() + 4, std::uint32_t{nulls_ > 0 ? 1u : 0u});
  store(out_.data() + 8, element_type_);
  store(out_.data() + 12, static_cast<std::uint32_t>(count_));
  store(out_.data() + 16, std::uint32_t{1});
  return std::move(out_);
}

} // namespace colloquy::db
