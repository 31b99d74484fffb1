// What a filter matches, in which order, page by page.
#include "tests/db/document_store.hpp"

#include <set>

using namespace colloquy;
using namespace colloquy::db;
using namespace colloquy::test;

TEST_CASE("a document comes back with the values that it came with") {
  document_store store;
  const std::string odd =
      R"("a.b": 1, "$1": "%s '; DROP TABLE documents; --", "n": 12345678901234567890123, "f": 1.50,)"
      R"( "e": 1e2, "ü\"\\": "\u0001\ud83d\ude00", "list": [1, "two", null], "": {}})";
  store.fill({R"({"id": "d", "version": null, "creation_utc": "2026-01-01T00:00:00.10+00:00", )" + odd});
  const auto page = store.find(store.query("{}"));
  REQUIRE(page);
  const auto& text = page->documents.at(0);
  for (const std::string part :
       {R"("n": 12345678901234567890123)", R"("f": 1.50)", R"("e": 100)", R"("2026-01-01T00:00:00.10+00:00")",
        R"("$1": "%s '; DROP TABLE documents; --")", R"("list": [1, "two", null])", "\"\": {}", "\\u0001😀"})
    CHECK(text.find(part) != std::string::npos);
}

TEST_CASE("types count in equality, and numbers are compared by value") {
  document_store store;
  store.fill({document_of("text", R"("v": "10")"), document_of("number", R"("v": 10)"),
              document_of("spelled", R"("v": 1.0e1)"), document_of("yes", R"("v": true)"),
              document_of("nothing", R"("v": null)"), document_of("list", R"("v": [10, "10"])"),
              document_of("object", R"("v": {"a": 10})"), document_of("missing")});
  CHECK(store.found(R"({"v": {"$eq": "10"}})") == "text");
  CHECK(store.found(R"({"v": {"$eq": 10}})") == "number spelled");
  CHECK(store.found(R"({"v": {"$eq": 10.00}})") == "number spelled");
  CHECK(store.found(R"({"v": {"$eq": true}})") == "yes");
  CHECK(store.found(R"({"v": {"$eq": false}})") == "");
  CHECK(store.found(R"({"v": {"$eq": null}})") == "nothing");
  CHECK(store.found(R"({"v": {"$ne": 10}})") == "list missing nothing object text yes");
  CHECK(store.found(R"({"v": {"$ne": null}})") == "list missing number object spelled text yes");
  CHECK(store.found(R"({"v": {"$in": ["10", 10, null]}})") == "nothing number spelled text");
  CHECK(store.found(R"({"v": {"$nin": ["10", 10, null]}})") == "list missing object yes");
  CHECK(store.found(R"({"v": {"$in": []}})") == "");
  CHECK(store.found(R"({"v": {"$nin": []}})") == "list missing nothing number object spelled text yes");
}

TEST_CASE("more values than an array is searched for mean the same") {
  document_store store;
  store.fill({document_of("text", R"("v": "10")"), document_of("number", R"("v": 10)"), document_of("missing"),
              document_of("nothing", R"("v": null)"), document_of("other", R"("v": "x")")});
  std::string many;
  for (int i = 100; i < 200; ++i)
    many += "\"" + std::to_string(i) + "\", ";
  CHECK(store.found(R"({"v": {"$in": [)" + many + R"(10, null]}})") == "nothing number");
  CHECK(store.found(R"({"v": {"$nin": [)" + many + R"(10, null]}})") == "missing other text");
  CHECK(store.found(R"({"id": {"$in": [)" + many + R"("text", 1, null]}})") == "text");
  CHECK(store.found(R"({"id": {"$nin": [)" + many + R"("text", 1, null]}})") == "missing nothing number other");
}

TEST_CASE("ranges compare numbers with numbers and strings with strings by code point, and never fail") {
  document_store store;
  store.fill({document_of("n2", R"("v": 2)"), document_of("n10", R"("v": 10)"), document_of("s2", R"("v": "2")"),
              document_of("s10", R"("v": "10")"), document_of("sZ", R"("v": "Z")"), document_of("sa", R"("v": "a")"),
              document_of("se", R"("v": "é")"), document_of("emoji", R"("v": "😀")"), document_of("bmp", R"("v": "～")"),
              document_of("b", R"("v": true)"), document_of("x", R"("v": null)"), document_of("l", R"("v": [3])"),
              document_of("m")});
  CHECK(store.found(R"({"v": {"$gt": 2}})") == "n10");
  CHECK(store.found(R"({"v": {"$gte": 2.0}})") == "n10 n2");
  CHECK(store.found(R"({"v": {"$lt": 10}})") == "n2");
  CHECK(store.found(R"({"v": {"$lt": "2"}})") == "s10");
  CHECK(store.found(R"({"v": {"$gt": "Z"}})") == "bmp emoji sa se");
  CHECK(store.found(R"({"v": {"$gt": "é"}})") == "bmp emoji");
  CHECK(store.found(R"({"v": {"$gt": "～"}})") == "emoji"); // by code point, not by UTF-16
  CHECK(store.found(R"({"v": {"$lte": "Z", "$gt": "10"}})") == "s2 sZ");
  CHECK(store.found(R"({"v": {"$gte": true}})") == "");
  CHECK(store.found(R"({"v": {"$lte": null}})") == "");
  CHECK(store.found(R"({"v": {"$gt": 1e300}})") == "");
}

TEST_CASE("id and creation_utc are fields as any other") {
  document_store store;
  store.fill({document_of("a", "", "\"2026\""), document_of("b", "", "\"2027\""), document_of("c", "", "\"\""),
              document_of("d")});
  CHECK(store.found("{}") == "d c a b");
  CHECK(store.found(R"({"creation_utc": {"$eq": "2026"}})") == "a");
  CHECK(store.found(R"({"creation_utc": {"$eq": null}})") == "d");
  CHECK(store.found(R"({"creation_utc": {"$eq": ""}})") == "c");
  CHECK(store.found(R"({"creation_utc": {"$eq": 2026}})") == "");
  CHECK(store.found(R"({"creation_utc": {"$ne": 2026}})") == "d c a b");
  CHECK(store.found(R"({"creation_utc": {"$ne": "2026"}})") == "d c b");
  CHECK(store.found(R"({"creation_utc": {"$in": ["2026", null, 5]}})") == "d a");
  CHECK(store.found(R"({"creation_utc": {"$nin": ["2026", null, 5]}})") == "c b");
  CHECK(store.found(R"({"creation_utc": {"$gte": ""}})") == "c a b");
  CHECK(store.found(R"({"creation_utc": {"$lt": "2027"}})") == "c a");
  CHECK(store.found(R"({"creation_utc": {"$lt": 5}})") == "");
  CHECK(store.found(R"({"id": {"$eq": "a"}})") == "a");
  CHECK(store.found(R"({"id": {"$eq": null}})") == "");
  CHECK(store.found(R"({"id": {"$ne": null}})") == "d c a b");
  CHECK(store.found(R"({"id": {"$gt": "a", "$lt": "d"}})") == "c b");
  CHECK(store.found(R"({"id": {"$in": ["d", "a", "zz"]}, "creation_utc": {"$eq": "2026"}})") == "a");
  CHECK(store.found(R"({"$or": [{"id": {"$eq": "a"}}, {"creation_utc": {"$eq": null}}, {"version": {"$eq": "2"}}]})") ==
        "d a");
}

TEST_CASE("and, or and fields beside them hold together, nested") {
  document_store store;
  store.fill({document_of("1", R"("a": 1, "b": 1)"), document_of("2", R"("a": 1, "b": 2)"),
              document_of("3", R"("a": 2, "b": 1)"), document_of("4", R"("a": 2, "b": 2)")});
  CHECK(store.found(R"({"$and": []})") == "1 2 3 4");
  CHECK(store.found(R"({"$or": []})") == "");
  CHECK(store.found(R"({"a": {"$eq": 1}, "b": {"$eq": 2}})") == "2");
  CHECK(store.found(R"({"a": {"$eq": 1}, "$or": [{"b": {"$eq": 2}}, {"b": {"$eq": 3}}]})") == "2");
  CHECK(store.found(R"({"$or": [{"a": {"$eq": 1}, "b": {"$eq": 1}}, {"a": {"$eq": 2}, "b": {"$eq": 2}}]})") == "1 4");
  CHECK(store.found(R"({"$or": [{"a": {"$eq": 1}}, {"b": {"$eq": 1}}]})") == "1 2 3");
  CHECK(store.found(R"({"$or": [{"a": {"$eq": 1}}, {"b": {"$gt": 1}}]})") == "1 2 4");
  CHECK(store.found(R"({"$and": [{"$or": [{"a": {"$eq": 1}}, {"$and": []}]}, {"b": {"$nin": [1]}}]})") == "2 4");
  CHECK(store.found(R"({"$and": [{"$or": []}, {"a": {"$eq": 1}}]})") == "");
}

TEST_CASE("names and values of any kind are values") {
  document_store store;
  const std::vector<std::string> hostile{"a.b", "$1",         "%s",      "'", "\\\"", "'; DROP TABLE documents; --",
                                         "",    "data->>'x'", "\\u0001", "ü", "{}",   "NULL"};
  std::vector<std::string> documents;
  for (std::size_t i = 0; i < hostile.size(); ++i)
    documents.push_back(document_of(std::to_string(100 + i), "\"" + hostile[i] + "\": \"" + hostile[i] + "\""));
  store.fill(documents);
  for (std::size_t i = 0; i < hostile.size(); ++i) {
    const auto name = "\"" + hostile[i] + "\"";
    if (hostile[i].starts_with("$")) // no field may be named like that at the top of a filter
      continue;
    CHECK(store.found("{" + name + ": {\"$eq\": " + name + "}}") == std::to_string(100 + i));
    CHECK(store.found("{" + name + ": {\"$in\": [" + name + ", 1]}}") == std::to_string(100 + i));
    CHECK(store.found("{" + name + ": {\"$gte\": " + name + "}}") == std::to_string(100 + i));
  }
  const std::vector<std::string> names{"things'; DROP TABLE documents; --", "\"", "ü/%", "Things",
                                       std::string(255, 'x')};
  for (const auto& name : names) {
    store.collection = name;
    store.fill({document_of("only")});
    CHECK(store.found("{}") == "only");
  }
  CHECK(store.collections() == "\" Things things things'; DROP TABLE documents; -- " + std::string(255, 'x') + " ü/%");
}

TEST_CASE("pages of every way through the documents have each match once, in order, however they are cut") {
  document_store store;
  std::vector<std::string> documents;
  for (int i = 0; i < 60; ++i)
    documents.push_back(document_of("d" + std::to_string(100 + i * 7 % 60),
                                    "\"customer_id\": \"c" + std::to_string(i % 2) +
                                        "\", \"k\": " + std::to_string(i % 3) + ", \"j\": " + std::to_string(i % 5),
                                    i % 4 == 0 ? "null" : "\"t" + std::to_string(i % 7) + "\""));
  store.fill(documents);
  const std::string ways[] = {
      "{}",
      R"({"k": {"$eq": 1}})",
      R"({"customer_id": {"$eq": "c1"}})",
      R"({"k": {"$eq": 1}, "customer_id": {"$eq": "c1"}, "j": {"$ne": 4}})",
      R"({"k": {"$in": [0, 2, 2.0]}})",
      R"({"$or": [{"k": {"$eq": 1}}, {"j": {"$eq": 1}}, {"customer_id": {"$eq": "c0"}}]})",
      R"({"$or": [{"id": {"$in": ["d101", "d120"]}}, {"creation_utc": {"$in": [null, "t3"]}}, {"k": {"$eq": 2}}]})",
      R"({"id": {"$in": ["d101", "d120", "d130", "d102"]}})",
      R"({"creation_utc": {"$in": ["t1", "t2", null]}})",
      R"({"k": {"$gte": 1}})"};
  for (const auto& way : ways)
    for (const auto by : {document_order::key::creation_utc, document_order::key::id})
      for (const bool is_descending : {false, true}) {
        INFO(way << " by id: " << (by == document_order::key::id) << " descending: " << is_descending);
        auto wanted = store.query(way);
        wanted.order = {by, is_descending};
        wanted.limit = 1000;
        const auto whole = store.find(wanted);
        REQUIRE(whole);
        CHECK(whole->next_cursor.empty());
        CHECK(whole->total_count == static_cast<std::int64_t>(whole->documents.size()));
        const auto sorted = store.database.value(std::string("SELECT string_agg(id, ' ' ORDER BY ") +
                                                 (by == document_order::key::id ? ""
                                                  : is_descending               ? "sort_key DESC, "
                                                                                : "sort_key, ") +
                                                 "id" + (is_descending ? " DESC" : "") + ") FROM documents WHERE '" +
                                                 store.ids(*whole) + "' LIKE '%' || id || '%'");
        CHECK(store.ids(*whole) == sorted);
        wanted.limit = 7;
        std::vector<std::string> pieces;
        for (;;) {
          const auto page = store.find(wanted);
          REQUIRE(page);
          CHECK(page->total_count == whole->total_count);
          CHECK((page->next_cursor.empty() || page->documents.size() == 7));
          pieces.insert(pieces.end(), page->documents.begin(), page->documents.end());
          if (page->next_cursor.empty())
            break;
          wanted.cursor = page->next_cursor;
        }
        CHECK(pieces == whole->documents);
      }
}

TEST_CASE("a cursor is a place, and of one order only") {
  document_store store;
  store.fill(
      {document_of("a", "", "\"1\""), document_of("b", "", "\"2\""), document_of("c", "", "\"3\""), document_of("0")});
  auto wanted = store.query("{}");
  wanted.cursor = document_position{"2", "a"};
  CHECK(store.ids(*store.find(wanted)) == "b c");
  wanted.cursor = document_position{std::nullopt, "0"};
  CHECK(store.ids(*store.find(wanted)) == "a b c");
  wanted.order.is_descending = true;
  wanted.cursor = document_position{"2", "b"};
  CHECK(store.ids(*store.find(wanted)) == "a 0");
  wanted.limit = 2;
  wanted.cursor = {};
  const auto cursor = store.find(wanted)->next_cursor;
  wanted.cursor = cursor;
  CHECK(store.ids(*store.find(wanted)) == "a 0");
  store.remove(R"({"id": {"$eq": "b"}})").value();
  CHECK(store.ids(*store.find(wanted)) == "a 0");
  wanted.order.is_descending = false;
  CHECK(code_of(store.find(wanted)) == "invalid_request");
  wanted.order = {document_order::key::id, true};
  CHECK(code_of(store.find(wanted)) == "invalid_request");
  wanted.order = {};
  for (const std::string bad :
       {"x", "ca", "ca.", "ca31", "ca31.6", "ca31.zz", "ca31.00", "ca31.ff", "ca41.41", "ca31.61.", "ca31.61 "}) {
    wanted.cursor = bad;
    CHECK(code_of(store.find(wanted)) == "invalid_request");
  }
}

TEST_CASE("a page ends with its bytes, and goes on behind them") {
  document_store store;
  const std::string big(1'000'000, 'x');
  std::vector<std::string> documents;
  for (int i = 10; i < 40; ++i)
    documents.push_back(document_of(std::to_string(i), "\"big\": \"" + big + "\""));
  store.fill(documents);
  auto wanted = store.query("{}");
  const auto first = store.find(wanted);
  REQUIRE(first);
  CHECK(first->documents.size() == 17);
  CHECK(first->total_count == 30);
  wanted.cursor = first->next_cursor;
  const auto second = store.find(wanted);
  REQUIRE(second);
  CHECK(second->documents.size() == 13);
  CHECK(second->next_cursor.empty());
}

TEST_CASE("find-one takes the first by any fields, kind by kind") {
  document_store store;
  store.fill({document_of("missing"), document_of("null", R"("v": null)"), document_of("no", R"("v": false)"),
              document_of("yes", R"("v": true)"), document_of("9", R"("v": 9)"), document_of("10", R"("v": 10)"),
              document_of("Z", R"("v": "Z")"), document_of("a", R"("v": "a")"), document_of("list", R"("v": [1])"),
              document_of("object", R"("v": {})")});
  find_document wanted;
  wanted.tenant = store.tenant;
  wanted.collection = store.collection;
  const std::vector<std::string> order{"missing", "null", "no", "yes", "9", "10", "Z", "a", "list", "object"};
  for (const bool is_descending : {false, true}) {
    wanted.order = std::vector<field_order>{{"v", is_descending}};
    std::string gone = "\"\"";
    auto expected = order;
    if (is_descending)
      expected = {"list", "object", "a", "Z", "10", "9", "yes", "no", "null", "missing"};
    for (const auto& id : expected) {
      wanted.where = filter_of("{\"id\": {\"$nin\": [" + gone + "]}}");
      const auto one = decode_one(store.run(find_one_unit(store.tables, wanted)));
      REQUIRE(one);
      CHECK(store.id_of(one->document.value_or("")) == id);
      gone += ", \"" + id + "\"";
    }
  }
  wanted.where = filter_of(R"({"id": {"$in": ["Z", "a", "yes"]}})");
  wanted.order = std::vector<field_order>{{"nothing", true}, {"v", true}};
  CHECK(store.id_of(*decode_one(store.run(find_one_unit(store.tables, wanted)))->document) == "a");
  wanted.order = document_order{document_order::key::id, true};
  CHECK(store.id_of(*decode_one(store.run(find_one_unit(store.tables, wanted)))->document) == "yes");
  wanted.where = filter_of(R"({"v": {"$eq": "nowhere"}})");
  CHECK(!decode_one(store.run(find_one_unit(store.tables, wanted)))->document);
}

TEST_CASE("what is of another tenant or another collection is not there") {
  document_store store;
  store.fill({document_of("a", R"("v": 1)")});
  for (const auto& [tenant, collection] :
       {std::pair{"other", "things"}, std::pair{"acme", "Things"}, std::pair{"acme", "nothing"}}) {
    store.tenant = tenant_id::parse(tenant).value();
    store.collection = collection;
    for (const std::string where : {"{}", R"({"v": {"$eq": 1}})", R"({"id": {"$eq": "a"}})"})
      CHECK(store.found(where) == "");
    CHECK(store.update("{}", R"({"v": 2})")->reply.matched == 0);
    CHECK(!store.remove("{}")->reply.document);
    CHECK(code_of(store.drop()) == "not_found");
  }
  CHECK(store.count("documents", "data @> '{\"v\": 1}'") == "1");
}

TEST_CASE("a filter of a thousand tests, nested as deep as is allowed, is one statement") {
  document_store store;
  store.fill({document_of("a", R"("v": 1)")});
  std::string wide = "{\"$or\": [";
  for (int i = 0; i < 990; ++i)
    wide += "{\"f" + std::to_string(i) + "\": {\"$gt\": " + std::to_string(i) + "}}, ";
  CHECK(store.found(wide + R"({"v": {"$eq": 1}}]})") == "a");
  std::string deep = R"({"v": {"$eq": 1}})";
  for (int i = 0; i < 13; ++i)
    deep = "{\"$and\": [" + deep + "]}";
  CHECK(store.found(deep) == "a");
}
