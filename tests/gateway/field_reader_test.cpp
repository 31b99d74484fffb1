#include "gateway/field_reader.hpp"
#include "gateway/message_rules.hpp"
#include "tests/support/catch.hpp"

#include <string>
#include <vector>

using namespace colloquy;
using namespace colloquy::gateway;
using test::ContainsSubstring;

namespace {

constexpr std::string_view colors[] = {"red", "green", "blue"};
constexpr field_rule inner_fields[] = {
    {.name = "count", .kind = field_kind::integer, .is_required = true, .least = 0, .most = 9},
};
constexpr shape_rule inner{"Inner", "", inner_fields};
constexpr field_rule fields[] = {
    {.name = "name", .kind = field_kind::text, .is_required = true, .least = 1, .most = 5},
    {.name = "note", .kind = field_kind::text, .may_be_null = true, .most = 3},
    {.name = "number", .kind = field_kind::integer, .least = -2, .most = 7},
    {.name = "is_on", .kind = field_kind::boolean},
    {.name = "at", .kind = field_kind::time},
    {.name = "id", .kind = field_kind::uuid},
    {.name = "color", .kind = field_kind::word, .words = colors},
    {.name = "colors", .kind = field_kind::word_list, .least = 1, .most = 2, .words = colors},
    {.name = "own", .kind = field_kind::json_object, .most = 40},
    {.name = "any", .kind = field_kind::any},
    {.name = "inner", .kind = field_kind::shape, .shape = &inner},
    {.name = "messages", .kind = field_kind::message_list, .least = 1, .most = 2},
};
constexpr shape_rule whole_shape{"Whole", "", fields};

struct read_body {
  explicit read_body(std::string text)
    : json(std::move(text)) {
    reader.read_object("", json, whole_shape, said);
  }
  /// "POINTER detail" of each mistake.
  std::vector<std::string> mistakes() const {
    std::vector<std::string> out;
    for (const auto& each : reader.mistakes())
      out.push_back(each.where + " " + each.detail);
    return out;
  }
  std::string only_mistake() const {
    const auto all = mistakes();
    CAPTURE(json, all);
    REQUIRE(all.size() == 1);
    return all.front();
  }

  std::string json;
  values said;
  field_reader reader{size_limits{200, 100}};
};

std::string with(const std::string& member) {
  return "{\"name\":\"a\"," + member + "}";
}

std::string nested(int depth) {
  return std::string(static_cast<std::size_t>(depth), '[') + std::string(static_cast<std::size_t>(depth), ']');
}

} // namespace

TEST_CASE("every kind of field is read as what it is") {
  const read_body read(R"({"name":"\u00e9\u00e9\u00e9\u00e9\u00e9","note":null,"number":-2,"is_on":true,)"
                       R"("at":"2026-01-31T12:00:00+01:00","id":"01890A5D-ac96-774b-bcce-b302099a8057","color":"red",)"
                       R"("colors":["blue","red"],"own":{"a":[1]},"any":null,"inner":{"count":9},)"
                       R"("messages":[ {"role":"user", "content":"x"} ]})");
  CHECK(read.mistakes() == std::vector<std::string>{});
  CHECK(read.said.text("name") == "ééééé");
  CHECK(read.said.is_null("note"));
  CHECK(read.said.integer("number") == -2);
  CHECK(read.said.truth("is_on"));
  CHECK(to_rfc3339(*read.said.maybe<timestamp>("at")) == "2026-01-31T11:00:00.000000Z");
  CHECK(uuid_to_string(*read.said.maybe<uuid_bytes>("id")) == "01890a5d-ac96-774b-bcce-b302099a8057");
  CHECK(read.said.text("color") == "red");
  CHECK(*read.said.get<std::vector<std::string>>("colors") == std::vector<std::string>{"blue", "red"});
  CHECK(read.said.raw_or("own", "") == "{\"a\":[1]}");
  CHECK(read.said.raw_or("any", "") == "null");
  REQUIRE(read.said.shape("inner") != nullptr);
  CHECK(read.said.shape("inner")->integer("count") == 9);
  REQUIRE(read.said.messages("messages").size() == 1);
  CHECK(read.said.messages("messages")[0].data == "{\"role\":\"user\", \"content\":\"x\"}");
}

TEST_CASE("JSON that is kept is a piece of the body itself") {
  const read_body read(with("\"own\":{\"a\":1}"));
  const auto own = read.said.raw_or("own", "");
  CHECK(own.data() == read.json.data() + read.json.find("{\"a\""));
}

TEST_CASE("a value that is not allowed is told with its pointer and what is allowed") {
  const auto [member, told] = GENERATE(table<std::string, std::string>({
      {"\"note\":\"abcd\"", "/note must be a string of at most 3 characters, or null"},
      {"\"note\":1", "/note must be a string of at most 3 characters, or null"},
      {"\"number\":8", "/number must be a whole number, -2 to 7"},
      {"\"number\":-3", "/number must be a whole number, -2 to 7"},
      {"\"number\":1.0", "/number must be a whole number, -2 to 7"},
      {"\"number\":1e0", "/number must be a whole number, -2 to 7"},
      {"\"number\":9223372036854775808", "/number must be a whole number, -2 to 7"},
      {"\"number\":18446744073709551617", "/number must be a whole number, -2 to 7"},
      {"\"number\":\"1\"", "/number must be a whole number, -2 to 7"},
      {"\"number\":null", "/number must be a whole number, -2 to 7"},
      {"\"is_on\":1", "/is_on must be true or false"},
      {"\"is_on\":\"true\"", "/is_on must be true or false"},
      {"\"at\":\"yesterday\"", "/at must be a time as 2026-01-31T12:00:00Z"},
      {"\"at\":0", "/at must be a time as 2026-01-31T12:00:00Z"},
      {"\"id\":\"01890a5d\"", "/id must be a UUID"},
      {"\"color\":\"Red\"", "/color must be one of red, green, blue"},
      {"\"color\":[\"red\"]", "/color must be one of red, green, blue"},
      {"\"colors\":[]", "/colors must be an array of different ones of red, green, blue"},
      {"\"colors\":[\"red\",\"red\"]", "/colors must be an array of different ones of red, green, blue"},
      {"\"colors\":[\"red\",\"green\",\"blue\"]", "/colors must be an array of different ones of red, green, blue"},
      {"\"colors\":[\"red\",1]", "/colors must be an array of different ones of red, green, blue"},
      {"\"colors\":\"red\"", "/colors must be an array of different ones of red, green, blue"},
      {"\"own\":[]", "/own must be an object"},
      {"\"inner\":[]", "/inner must be an object"},
      {"\"inner\":{}", "/inner/count is missing; it must be a whole number, 0 to 9"},
      {"\"inner\":{\"count\":10}", "/inner/count must be a whole number, 0 to 9"},
      {"\"messages\":[]", "/messages must be an array of 1 to 2 objects"},
      {"\"messages\":{}", "/messages must be an array of 1 to 2 objects"},
      {"\"messages\":[1,2,3]", "/messages must be an array of 1 to 2 objects"},
  }));
  CHECK(read_body(with(member)).only_mistake() == told);
}

TEST_CASE("an unknown field is refused with what was meant, its name escaped in the pointer") {
  CHECK_THAT(read_body(with("\"nmae\":1")).only_mistake(), ContainsSubstring("did you mean \"name\"?"));
  CHECK_THAT(read_body(with("\"quite_another\":1")).only_mistake(),
             ContainsSubstring("allowed are name, note, number"));
  CHECK_THAT(read_body(with("\"a/b~c\":1")).only_mistake(), test::StartsWith("/a~1b~0c "));
  CHECK(suggestion("x", std::vector<std::string>{}) == "none is allowed");
}

TEST_CASE("all mistakes are told at once, up to a bound, and all are counted") {
  const read_body read(R"({"number":99,"is_on":2,"inner":{"count":-1,"more":1},"color":"pink"})");
  CHECK(read.mistakes().size() == 6); // and the name is missing
  std::string many = "{\"name\":\"a\"";
  for (int i = 0; i < 200; ++i)
    many += ",\"unknown_" + std::to_string(i) + "\":1";
  const read_body full(many + "}");
  CHECK(full.reader.mistakes().size() == mistakes_max);
  CHECK(full.reader.count() == 200);
}

TEST_CASE("what nests too deep is refused where it stands, brackets in strings aside") {
  CHECK(read_body(with("\"any\":" + nested(64))).mistakes().empty());
  CHECK(read_body(with("\"any\":" + nested(65))).only_mistake() == "/any nests deeper than the 64 levels allowed");
  CHECK(read_body(with("\"any\":\"" + std::string(80, '[') + "\\\"" + std::string(9, '{') + "\"")).mistakes().empty());
}

TEST_CASE("what is too large is another fault than what is wrong") {
  const read_body own(with("\"own\":{\"a\":\"" + std::string(60, 'x') + "\"}"));
  CHECK_THAT(own.only_mistake(), ContainsSubstring("/own has 68 bytes; at most 40 are allowed"));
  CHECK(own.reader.is_too_large());
  const read_body message(with("\"messages\":[{\"role\":\"user\",\"content\":\"" + std::string(200, 'x') + "\"}]"));
  CHECK_THAT(message.only_mistake(), ContainsSubstring("/messages/0 the message has 228 bytes"));
  CHECK(message.reader.is_too_large());
  CHECK_FALSE(read_body(with("\"number\":99")).reader.is_too_large());
}

TEST_CASE("each field of a wrong message is told with its place in the list") {
  const read_body read(with(R"("messages":[{"role":"user","content":"x"},{"role":"king","tokens":-1,"nam":1}])"));
  std::vector<std::string> where;
  for (const auto& each : read.reader.mistakes())
    where.push_back(each.where);
  CHECK(where ==
        std::vector<std::string>{"/messages/1/role", "/messages/1/tokens", "/messages/1/nam", "/messages/1/content"});
}

TEST_CASE("an open object takes what it does not know, but for the service's own names") {
  static constexpr std::string_view own[] = {"turn_id"};
  field_reader reader{size_limits{}};
  values said;
  reader.read_open_object("", R"({"name":"a","else":[1]})", whole_shape, own, said);
  CHECK(reader.count() == 0);
  reader.read_open_object("", R"({"name":"a","turn_id":1})", whole_shape, own, said);
  REQUIRE(reader.count() == 1);
  CHECK(reader.mistakes()[0].where == "/turn_id");
}

TEST_CASE("parameters are read from text by the same rules") {
  const auto read = [](std::string_view name, std::string_view text) {
    for (const auto& rule : fields)
      if (rule.name == name) {
        field_reader reader{size_limits{}};
        values said;
        reader.read_parameter(mistake::place::query, rule, text, said);
        CHECK(said.has(name) == (reader.count() == 0));
        return reader.count() == 0;
      }
    FAIL("no such rule");
    return false;
  };
  CHECK(read("number", "7"));
  for (const auto* wrong : {"8", "+7", " 7", "7 ", "", "7.0", "0x7", "99999999999999999999"})
    CHECK_FALSE(read("number", wrong));
  CHECK(read("is_on", "false"));
  CHECK_FALSE(read("is_on", "1"));
  CHECK(read("colors", "red,blue"));
  for (const auto* wrong : {"", ",", "red,", "red,red", "red, blue", "pink"})
    CHECK_FALSE(read("colors", wrong));
  CHECK(read("name", "abcde"));
  CHECK_FALSE(read("name", ""));
  CHECK_FALSE(read("name", "\xff"));
  CHECK_FALSE(read("name", std::string_view("a\0b", 3)));
}
