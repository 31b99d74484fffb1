// What calls about documents say: bodies, filters, orders, cursors, converters.
#include "gateway/call_reader.hpp"
#include "gateway/json_pointer.hpp"
#include "tests/support/catch.hpp"

#include <memory>
#include <string>

using namespace colloquy;
using namespace colloquy::gateway;
using test::ContainsSubstring;

namespace {

constexpr std::string_view one = R"({"id":"a","version":"1","creation_utc":null,"n": 1.50})";

call_reading read(operation_id id, std::string body, const size_limits& limits = {}) {
  // Read values point into the body, which must outlive them here.
  static std::vector<std::unique_ptr<std::string>> bodies;
  const auto& text = *bodies.emplace_back(std::make_unique<std::string>(std::move(body)));
  call_headers headers{.content_type = "application/json"};
  return read_call(operation_of(id), {"tickets"}, "", headers, text, limits);
}

/// "WHERE detail" of the only mistake.
std::string why_not(operation_id id, std::string body) {
  CAPTURE(body);
  const auto reading = read(id, std::move(body));
  REQUIRE(reading.mistake_count == 1);
  return reading.mistakes.front().where + " " + reading.mistakes.front().detail;
}

std::string where(std::string_view filter) {
  return R"({"where":)" + std::string(filter) + "}";
}

document_order order_of(const call_reading& reading) {
  return std::get<document_order>(*reading.said.body.get<document_sort>("sort"));
}

} // namespace

TEST_CASE("one document is kept as the bytes it was") {
  const auto reading = read(operation_id::insert_documents, "  " + std::string(one) + "\n");
  REQUIRE(reading.is_good());
  REQUIRE(reading.said.documents.size() == 1);
  CHECK(reading.said.documents.front() == one);
  CHECK(reading.said.path.text("name") == "tickets");
}

TEST_CASE("several documents are kept in their order") {
  const auto reading = read(operation_id::insert_documents, R"({"documents": [ )" + std::string(one) +
                                                                R"( , {"creation_utc":"","version":null,"id":"b"}]})");
  REQUIRE(reading.is_good());
  REQUIRE(reading.said.documents.size() == 2);
  CHECK(reading.said.documents[0] == one);
  CHECK(reading.said.documents[1] == R"({"creation_utc":"","version":null,"id":"b"})");
}

TEST_CASE("a body is a list only with an array of documents and without an id") {
  const auto document = R"({"id":"a","version":"1","creation_utc":"1","documents":[{}]})";
  const auto reading = read(operation_id::insert_documents, document);
  REQUIRE(reading.is_good());
  CHECK(reading.said.documents == std::vector<std::string_view>{document});
  CHECK_THAT(why_not(operation_id::insert_documents, R"({"documents":{},"version":"1","creation_utc":"1"})"),
             ContainsSubstring("/id "));
}

TEST_CASE("what is wrong with documents is told with its place") {
  const auto insert = operation_id::insert_documents;
  CHECK_THAT(why_not(insert, R"({"id":"a","version":"1"})"), ContainsSubstring("/creation_utc "));
  CHECK_THAT(
      why_not(insert, R"({"documents":[)" + std::string(one) + R"(,{"id":5,"version":"1","creation_utc":"1"}]})"),
      ContainsSubstring("/documents/1/id "));
  CHECK_THAT(why_not(insert, R"({"documents":[1]})"), ContainsSubstring("/documents/0 "));
  CHECK_THAT(why_not(insert, R"({"documents":[]})"), ContainsSubstring("1 to 10000"));
  CHECK_THAT(why_not(insert, R"({"documents":[)" + std::string(one) + R"(],"more":1})"), ContainsSubstring("/more "));
  CHECK_THAT(why_not(insert, "[]"), ContainsSubstring("object"));
}

TEST_CASE("a document over its limit is too large, not wrong") {
  const size_limits small{.document_bytes_max = 60};
  const auto body = R"({"documents":[)" + std::string(one) + R"(,{"id":"b","version":"1","creation_utc":"1","x":")" +
                    std::string(60, 'x') + R"("}]})";
  const auto reading = read(operation_id::insert_documents, body, small);
  CHECK(reading.is_too_large);
  REQUIRE(reading.mistake_count == 1);
  CHECK(reading.mistakes.front().where == "/documents/1");
  CHECK(read(operation_id::insert_documents, R"({"documents":[)" + std::string(one) + "]}", small).is_good());
}

TEST_CASE("documents may be nested as deep as documents are, whatever they stand in") {
  const auto nested = [](int levels) {
    return R"({"documents":[{"id":"a","version":"1","creation_utc":"1","x":)" + std::string(levels, '[') +
           std::string(levels, ']') + "}]}";
  };
  CHECK(read(operation_id::insert_documents, nested(99)).is_good());
  CHECK_THAT(why_not(operation_id::insert_documents, nested(100)), ContainsSubstring("/documents/0"));
  CHECK_THAT(why_not(operation_id::insert_documents, nested(500)), ContainsSubstring("/documents/0"));
  CHECK_FALSE(read(operation_id::insert_documents, nested(5000)).is_good());
}

TEST_CASE("a filter is read, and its mistakes are told with their place in the body") {
  const auto query = operation_id::query_documents;
  const auto good = read(query, where(R"({"a":{"$in":[1,"x"]}})"));
  REQUIRE(good.is_good());
  const auto* filter = good.said.body.get<document_filter>("where");
  REQUIRE(filter != nullptr);
  CHECK_THAT(why_not(query, where(R"({"a":1})")), ContainsSubstring("/where/a "));
  CHECK_THAT(why_not(query, where(R"({"a b":{"$in":1},"a":{"$eq":1}})")), ContainsSubstring("/where/a b/$in "));
  CHECK_THAT(why_not(query, where(R"({"$or":[{},{"a/b":{"$gt":[]}}]})")), ContainsSubstring("/where/$or/1/a~1b/$gt "));
  CHECK_THAT(why_not(query, where("[]")), ContainsSubstring("/where "));
  CHECK_THAT(why_not(query, where("null")), ContainsSubstring("/where "));
  CHECK(read(query, "").is_good());
  CHECK_THAT(why_not(operation_id::delete_one_document, "{}"), ContainsSubstring("/where "));
}

TEST_CASE("an order is a word, an object, or for one document an array of fields") {
  const auto query = operation_id::query_documents;
  CHECK(order_of(read(query, R"({"sort":"desc"})")).is_descending);
  CHECK_FALSE(order_of(read(query, R"({"sort":"asc"})")).is_descending);
  const auto by_id = order_of(read(query, R"({"sort":{"by":"id","order":"desc"}})"));
  CHECK(by_id.by == document_order::key::id);
  CHECK(by_id.is_descending);
  CHECK(order_of(read(query, R"({"sort":{}})")).by == document_order::key::creation_utc);
  for (const auto* wrong : {R"("up")", "5", R"([{"field":"a"}])", R"("")"})
    CHECK_THAT(why_not(query, R"({"sort":)" + std::string(wrong) + "}"), ContainsSubstring("/sort "));
  CHECK_THAT(why_not(query, R"({"sort":{"by":"n"}})"), ContainsSubstring("/sort/by "));

  const auto find = operation_id::find_one_document;
  const auto several = read(find, R"({"where":{},"sort":[{"field":"a"},{"field":"","order":"desc"}]})");
  REQUIRE(several.is_good());
  const auto& fields = std::get<std::vector<field_order>>(*several.said.body.get<document_sort>("sort"));
  REQUIRE(fields.size() == 2);
  CHECK(fields[0].field == "a");
  CHECK_FALSE(fields[0].is_descending);
  CHECK(fields[1].field.empty());
  CHECK(fields[1].is_descending);
  CHECK_THAT(why_not(find, R"({"where":{},"sort":[]})"), ContainsSubstring("/sort "));
  CHECK_THAT(why_not(find, R"({"where":{},"sort":[{"order":"asc"}]})"), ContainsSubstring("/sort/0/field "));
}

TEST_CASE("a cursor is a text or a place") {
  const auto query = operation_id::query_documents;
  const auto start = [&](const char* cursor) {
    const auto reading = read(query, R"({"cursor":)" + std::string(cursor) + "}");
    REQUIRE(reading.is_good());
    return *reading.said.body.get<document_start>("cursor");
  };
  CHECK(std::get<std::string>(start(R"("abc")")) == "abc");
  const auto place = std::get<document_position>(start(R"({"id":"x","creation_utc":"2026"})"));
  CHECK(place.id == "x");
  CHECK(place.creation_utc == "2026");
  CHECK_FALSE(std::get<document_position>(start(R"({"id":"x","creation_utc":null})")).creation_utc);
  for (const auto* wrong : {"null", "1", R"("")", "[]"})
    CHECK_THAT(why_not(query, R"({"cursor":)" + std::string(wrong) + "}"), ContainsSubstring("/cursor "));
  CHECK_THAT(why_not(query, R"({"cursor":{"id":"x"}})"), ContainsSubstring("/cursor/creation_utc "));
  CHECK_THAT(why_not(query, R"({"cursor":{"id":"","creation_utc":null}})"), ContainsSubstring("/cursor/id "));
}

TEST_CASE("what an update sets is kept as it came") {
  const auto update = operation_id::update_one_document;
  const auto good = read(update, R"({"where":{},"set": { "n": 1.50 },"upsert":true})");
  REQUIRE(good.is_good());
  CHECK(good.said.body.raw_or("set", "") == R"({ "n": 1.50 })");
  CHECK(good.said.body.truth("upsert"));
  CHECK_THAT(why_not(update, R"({"where":{},"set":{"id":1}})"), ContainsSubstring("/set/id "));
  CHECK_THAT(why_not(update, R"({"where":{},"set":{}})"), ContainsSubstring("/set "));
  CHECK_THAT(why_not(update, R"({"where":{}})"), ContainsSubstring("/set "));
}

TEST_CASE("converters are read whole") {
  const auto open = operation_id::open_store;
  const auto good = read(open, R"({"version":"2","allow_migration":true,"collections":["c"],"converters":[
      {"from":null,"to":"1"},
      {"from":"1","to":"2","rename":{"a":"b"},"remove":["x",""],"set":{"s": [1] },"set_default":{"d":null}}]})");
  CHECK_THAT(why_not(open, R"({"version":"2","allow_migration":true,"converters":[{"from":"1"}]})"),
             ContainsSubstring("/converters/0/to "));
  CHECK_THAT(
      why_not(open, R"({"version":"2","allow_migration":true,"converters":[{"from":"1","to":"2","rename":{"a":1}}]})"),
      ContainsSubstring("/converters/0/rename/a "));
  CHECK_THAT(why_not(open, R"({"version":"2","allow_migration":true,"converters":{}})"),
             ContainsSubstring("/converters "));
  CHECK_THAT(why_not(open, R"({"version":"2","allow_migration":true,"collections":[1]})"),
             ContainsSubstring("/collections "));
  REQUIRE(good.is_good());
  const auto& all = *good.said.body.get<std::vector<std::shared_ptr<const values>>>("converters");
  REQUIRE(all.size() == 2);
  CHECK(all[0]->is_null("from"));
  CHECK(all[1]->get<text_pairs>("rename")->front() == std::pair<std::string, std::string>{"a", "b"});
  CHECK(all[1]->get<text_pairs>("set")->front() == std::pair<std::string, std::string>{"s", "[1]"});
  CHECK(*all[1]->get<std::vector<std::string>>("remove") == std::vector<std::string>{"x", ""});
}

TEST_CASE("a pointer at the beginning of a message is followed through the JSON") {
  CHECK(pointer_length("the filter must be an object", "{}") == 0);
  CHECK(pointer_length("/a must be", R"({"a":1})") == 2);
  CHECK(pointer_length("/a b/0/c must be", R"({"a":1,"a b":[{"c":1}]})") == 8);
  CHECK(pointer_length("/a b must be", R"({"a":1,"a b":1})") == 4);
  CHECK(pointer_length("/id is missing", R"({"a":1})") == 3);
  CHECK(pointer_length("/0/x is missing", R"([{}])") == 4);
  CHECK(pointer_length("/9 is missing", R"([{}])") == 2);
  CHECK(pointer_length("/a", R"({"a":1})") == 2);
  CHECK(pointer_length("", "{}") == 0);
}
