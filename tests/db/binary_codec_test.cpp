// The bytes of PostgreSQL's binary format, and what becomes of bytes that are not in it.
#include "db/binary_codec.hpp"
#include "tests/support/catch.hpp"

#include <limits>
#include <string>

using namespace colloquy;
using namespace colloquy::db;
using namespace std::string_literals;

namespace {

std::string header(std::int32_t dimensions, std::int32_t has_nulls, oid type) {
  return encode_int4(dimensions) + encode_int4(has_nulls) + encode_int4(static_cast<std::int32_t>(type));
}

std::string text_array(std::int32_t count, const std::string& elements) {
  return header(1, 0, oids::text) + encode_int4(count) + encode_int4(1) + elements;
}

} // namespace

TEST_CASE("integers are big-endian and come back at their limits") {
  CHECK(encode_int2(0x0102) == "\x01\x02"s);
  CHECK(encode_int4(-2) == "\xff\xff\xff\xfe"s);
  CHECK(encode_int8(0x0102030405060708) == "\x01\x02\x03\x04\x05\x06\x07\x08"s);
  for (std::int16_t value : {std::int16_t{0}, std::numeric_limits<std::int16_t>::min(), std::int16_t{32767}})
    CHECK(decode_int2(encode_int2(value)) == value);
  for (std::int32_t value : {0, -1, std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max()})
    CHECK(decode_int4(encode_int4(value)) == value);
  for (std::int64_t value : {std::int64_t{0}, std::int64_t{-1}, std::numeric_limits<std::int64_t>::min(),
                             std::numeric_limits<std::int64_t>::max()})
    CHECK(decode_int8(encode_int8(value)) == value);
}

TEST_CASE("a timestamp counts from 2000, and infinity is the last there is") {
  using namespace std::chrono;
  const timestamp epoch = sys_days{year{2000} / 1 / 1};
  CHECK(encode_timestamp(epoch) == std::string(8, '\0'));
  CHECK(encode_timestamp(epoch + microseconds{1}) == encode_int8(1));
  const timestamp before = sys_days{year{1969} / 7 / 20};
  CHECK(decode_timestamp(encode_timestamp(before)) == before);
  CHECK(decode_timestamp(encode_int8(std::numeric_limits<std::int64_t>::max())) == timestamp::max());
  CHECK(decode_timestamp(encode_int8(std::numeric_limits<std::int64_t>::min())) < before);
}

TEST_CASE("a uuid is its sixteen bytes") {
  const auto id = new_uuid_v7();
  CHECK(encode_uuid(id).size() == 16);
  CHECK(decode_uuid(encode_uuid(id)) == id);
}

TEST_CASE("an array says its type, its length and whether it has nulls") {
  array_builder plain(oids::text, 2, 0);
  plain.add("ab");
  plain.add("");
  CHECK(std::move(plain).finish() == text_array(2, encode_int4(2) + "ab" + encode_int4(0)));

  array_builder with_null(oids::int4, 2, 0);
  with_null.add_null();
  with_null.add_int4(7);
  CHECK(std::move(with_null).finish() ==
        header(1, 1, oids::int4) + encode_int4(2) + encode_int4(1) + encode_int4(-1) + encode_int4(4) + encode_int4(7));
}

TEST_CASE("an array of nothing, or of nothing but nulls, is the empty array") {
  array_builder none(oids::uuid, 0, 0);
  CHECK(std::move(none).finish() == header(0, 0, oids::uuid));
  array_builder nulls(oids::timestamptz, 3, 0);
  nulls.add_null();
  nulls.add_text_or_null("");
  CHECK(std::move(nulls).finish() == header(0, 0, oids::timestamptz));
}

TEST_CASE("an empty text stands for null, and is kept where it is meant") {
  array_builder texts(oids::text, 2, 0);
  texts.add_text_or_null("");
  texts.add_text_or_null("x");
  CHECK(std::move(texts).finish() ==
        header(1, 1, oids::text) + encode_int4(2) + encode_int4(1) + encode_int4(-1) + encode_int4(1) + "x");
}

TEST_CASE("elements of fixed length are told with it") {
  array_builder longs(oids::int8, 1, 8);
  longs.add_int8(-1);
  CHECK(std::move(longs).finish().substr(20) == encode_int4(8) + std::string(8, '\xff'));
  array_builder ids(oids::uuid, 1, 16);
  const auto id = new_uuid_v7();
  ids.add_uuid(id);
  CHECK(std::move(ids).finish().substr(20) == encode_int4(16) + encode_uuid(id));
  array_builder times(oids::timestamptz, 1, 8);
  times.add_timestamp(timestamp{});
  CHECK(std::move(times).finish().substr(20) == encode_int4(8) + encode_timestamp(timestamp{}));
}

TEST_CASE("a text array is read back, empty texts and quotes included") {
  array_builder texts(oids::text, 3, 0);
  for (const char* text : {"", "a\"b,\\{}", "é"})
    texts.add(text);
  const auto read = decode_text_array(std::move(texts).finish());
  REQUIRE(read);
  CHECK(*read == std::vector<std::string>{"", "a\"b,\\{}", "é"});
  const auto empty = decode_text_array(header(0, 0, oids::text));
  REQUIRE(empty);
  CHECK(empty->empty());
}

TEST_CASE("bytes that are no text array are refused, whatever they claim") {
  const std::string element = encode_int4(1) + "x";
  CHECK_FALSE(decode_text_array(""));
  CHECK_FALSE(decode_text_array(header(1, 0, oids::text)));
  CHECK_FALSE(decode_text_array(text_array(1, element).substr(0, 19)));
  CHECK_FALSE(decode_text_array(header(1, 0, oids::int4) + encode_int4(1) + encode_int4(1) + element));
  CHECK_FALSE(decode_text_array(header(2, 0, oids::text) + encode_int4(1) + encode_int4(1) + element));
  CHECK_FALSE(decode_text_array(header(-1, 0, oids::text) + encode_int4(1) + encode_int4(1) + element));
  CHECK_FALSE(decode_text_array(text_array(2, element)));                 // fewer than told
  CHECK_FALSE(decode_text_array(text_array(-1, element)));                // four billion
  CHECK_FALSE(decode_text_array(text_array(1, encode_int4(2) + "x")));    // longer than there is
  CHECK_FALSE(decode_text_array(text_array(1, encode_int4(-1))));         // null
  CHECK_FALSE(decode_text_array(text_array(1, encode_int4(-2) + "abc"))); // no length at all
  CHECK_FALSE(decode_text_array(text_array(1, "abc")));                   // half a length
}
