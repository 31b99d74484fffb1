// How many match: exact on every page, without counting what has been counted.
#include "tests/db/document_store.hpp"

using namespace colloquy;
using namespace colloquy::db;
using namespace colloquy::test;

namespace {

std::vector<std::string> numbered(int first, int end, const std::string& more = R"("v": 1)") {
  std::vector<std::string> made;
  for (int i = first; i < end; ++i)
    made.push_back(document_of("d" + std::to_string(1000 + i), more));
  return made;
}

find_documents pages_of(document_store& store, const std::string& where, std::size_t limit = 3) {
  auto wanted = store.query(where);
  wanted.limit = limit;
  return wanted;
}

find_documents behind(find_documents wanted, const document_page& page) {
  REQUIRE(!page.next_cursor.empty());
  wanted.cursor = page.next_cursor;
  return wanted;
}

document_page page_of(document_store& store, const find_documents& wanted) {
  auto page = store.find(wanted);
  if (!page)
    FAIL(page.failure().message);
  return *page;
}

std::string parts(document_store& store) {
  return store.database.value("SELECT count(*) FROM collection_counts");
}

} // namespace

TEST_CASE("what is counted follows every kind of write, and what was not committed does not count") {
  document_store store;
  const auto total = [&] { return page_of(store, pages_of(store, "{}", 1)).total_count; };
  store.fill(numbered(0, 10));
  CHECK(total() == 10);
  REQUIRE(store.update(R"({"id": {"$eq": "d1003"}})", R"({"id": "other", "v": 2})"));
  CHECK(total() == 10);
  REQUIRE(store.remove(R"({"id": {"$eq": "other"}})"));
  CHECK(total() == 9);
  CHECK(code_of(store.insert({document_of("new"), document_of("d1001")})) == "conflict");
  CHECK(total() == 9);
  REQUIRE(store.upsert(store.change(R"({"id": {"$eq": "up"}})", document_of("up"))));
  CHECK(total() == 10);
  CHECK(store.terms_fit());
  store.database.exec("BEGIN; DELETE FROM documents; ROLLBACK");
  CHECK(total() == 10);
  REQUIRE(store.drop());
  CHECK(store.find(store.query("{}"))->total_count == 0);
  store.fill(numbered(0, 5));
  CHECK(total() == 5);
  CHECK(store.terms_fit());
}

TEST_CASE("one statement that writes to several tenants' collections counts each") {
  document_store store;
  store.fill(numbered(0, 4));
  store.database.exec("INSERT INTO collections (tenant_id, name) VALUES ('else', 'things');"
                      "INSERT INTO documents (tenant_id, collection_id, data) SELECT 'else', c.id, d.data"
                      " FROM documents AS d, collections AS c WHERE c.tenant_id = 'else';"
                      "DELETE FROM documents WHERE id IN ('d1000', 'd1001')");
  CHECK(page_of(store, pages_of(store, "{}", 1)).total_count == 2);
  CHECK(store.terms_fit());
  store.database.exec("DELETE FROM documents WHERE tenant_id = 'acme' AND id = 'd1003';"
                      "UPDATE documents SET tenant_id = 'acme', collection_id = (SELECT c.id FROM collections AS c"
                      " WHERE c.tenant_id = 'acme') WHERE tenant_id = 'else' AND id = 'd1003'");
  CHECK(page_of(store, pages_of(store, "{}", 1)).total_count == 2);
  CHECK(store.database.value("SELECT sum(documents) FROM collection_counts WHERE tenant_id = 'else'") == "1");
  CHECK(store.terms_fit());
}

TEST_CASE("who writes at the same time does not wait for each other's count, and all is counted") {
  document_store store;
  store.fill(numbered(0, 1));
  test_connection other(store.database.superuser_conninfo());
  other.exec("BEGIN; INSERT INTO documents (tenant_id, collection_id, data) SELECT 'acme', c.id, '" +
             document_of("late") + "' FROM collections AS c");
  store.fill(numbered(1, 3)); // would wait until the deadline of its statement
  CHECK(page_of(store, pages_of(store, "{}", 1)).total_count == 3);
  CHECK(parts(store) == "2");
  other.exec("COMMIT");
  CHECK(page_of(store, pages_of(store, "{}", 1)).total_count == 4);
  store.fill(numbered(3, 6));
  CHECK(parts(store) == "2"); // those there are serve again
  CHECK(store.terms_fit());
}

TEST_CASE("a page by a cursor has the exact total whatever was written since") {
  document_store store;
  store.fill(numbered(0, 20));
  store.fill(numbered(20, 30, R"("v": 2)"));
  for (const std::string where : {"{}", R"({"v": {"$eq": 1}})", R"({"v": {"$lt": 2}})", R"({"v": {"$in": [1, 3]}})"}) {
    INFO(where);
    const auto wanted = pages_of(store, where);
    const auto first = page_of(store, wanted);
    const auto second = page_of(store, behind(wanted, first));
    CHECK(second.total_count == first.total_count);
    store.fill({document_of("z", R"("v": 1)")}); // behind the page
    CHECK(page_of(store, behind(wanted, first)).total_count == first.total_count + 1);
    CHECK(page_of(store, behind(wanted, second)).total_count == first.total_count + 1);
    REQUIRE(store.update(R"({"id": {"$eq": "z"}})", R"({"v": 4})"));
    CHECK(page_of(store, behind(wanted, second)).total_count == first.total_count + (where == "{}" ? 1 : 0));
    REQUIRE(store.remove(R"({"id": {"$eq": "z"}})"));
    CHECK(page_of(store, behind(wanted, second)).total_count == first.total_count);
  }
}

TEST_CASE("a cursor's total is of its own filter, user and collection") {
  document_store store;
  store.fill(numbered(0, 10));
  store.fill(numbered(10, 14, R"("v": 2, "customer_id": "ada")"));
  const auto all = pages_of(store, "{}");
  const auto first = page_of(store, all);
  CHECK(first.total_count == 14);
  auto other = behind(pages_of(store, R"({"v": {"$eq": 2}})"), first);
  CHECK(page_of(store, other).total_count == 4);
  other = behind(all, first);
  other.as_user = "ada";
  CHECK(page_of(store, other).total_count == 4);
  store.collection = "other";
  store.fill(numbered(0, 5));
  CHECK(page_of(store, behind(pages_of(store, "{}"), first)).total_count == 5);
  store.collection = "things";
  REQUIRE(store.drop());
  store.fill(numbered(0, 10));
  store.fill(numbered(10, 12));
  CHECK(page_of(store, behind(all, first)).total_count == 12);
}

TEST_CASE("what was counted is not counted again while nothing is written") {
  document_store store;
  store.fill(numbered(0, 10));
  const auto wanted = pages_of(store, R"({"v": {"$eq": 1}})");
  const auto first = page_of(store, wanted);
  // Terms that no document has are counted, so that counting again would tell another number.
  store.database.exec("INSERT INTO document_terms (tenant_id, collection_id, term, sort_key, id) SELECT t.tenant_id,"
                      " t.collection_id, t.term, t.sort_key, 'a' FROM document_terms AS t WHERE t.id = 'd1000'");
  CHECK(page_of(store, wanted).total_count == 11);
  CHECK(page_of(store, behind(wanted, first)).total_count == 10);
}

TEST_CASE("cursors of an earlier version are places, and those with a part that is none are refused") {
  document_store store;
  store.fill(numbered(0, 10));
  auto wanted = pages_of(store, "{}");
  const auto cursor = page_of(store, wanted).next_cursor;
  const auto end_of_place = cursor.find('.', cursor.find('.') + 1);
  wanted.cursor = cursor.substr(0, end_of_place);
  const auto page = page_of(store, wanted);
  CHECK(store.ids(page) == "d1003 d1004 d1005");
  CHECK(page.total_count == 10);
  for (const auto& bad : {cursor + ".00", cursor + "0", cursor.substr(0, cursor.size() - 1),
                          cursor.substr(0, end_of_place) + ".f" + cursor.substr(end_of_place + 2)}) {
    INFO(bad);
    wanted.cursor = bad;
    CHECK(code_of(store.find(wanted)) == "invalid_request");
  }
}
