// Deleting collections: hidden at once, erased in transactions of bounded size.
#include "db/document_table_adoption.hpp"
#include "db/joint_documents.hpp"
#include "tests/db/document_store.hpp"

using namespace colloquy;
using namespace colloquy::db;
using namespace colloquy::test;

namespace {

std::vector<std::string> numbered(int count) {
  std::vector<std::string> made;
  for (int i = 0; i < count; ++i)
    made.push_back(document_of("d" + std::to_string(1000 + i), R"("v": 1)"));
  return made;
}

} // namespace

TEST_CASE("a deleted collection is hidden at once, whole, and erased in steps") {
  document_store store;
  store.fill(numbered(25));
  const auto bytes = std::stoll(store.database.value("SELECT sum(bytes) FROM documents"));
  const auto gone = store.drop();
  REQUIRE(gone);
  CHECK(gone->documents == 25);
  CHECK(gone->bytes == 0);
  REQUIRE(gone->hidden);
  CHECK(store.find(store.query("{}"))->total_count == 0);
  CHECK(store.found(R"({"v": {"$eq": 1}})") == "");
  CHECK(store.found(R"({"id": {"$eq": "d1001"}})") == "");
  CHECK(store.collections() == "");
  store.fill({document_of("new", R"("v": 1)")}); // of the same name, meanwhile
  std::int64_t erased = 0;
  for (const bool is_more : {true, true, false}) {
    const auto step = store.erase(*gone->hidden, 10);
    REQUIRE(step);
    CHECK(step->is_more == is_more);
    erased += step->bytes;
  }
  CHECK(erased == -bytes);
  CHECK(store.found("{}") == "new");
  CHECK(store.count("documents") == "1");
  CHECK(store.count("document_erasures") == "0");
  CHECK(store.count("collection_counts") == "1");
  CHECK(store.count("document_terms", "collection_id <> (SELECT id FROM collections)") == "0");
  CHECK(store.terms_fit());
  const auto again = store.erase(*gone->hidden, 10);
  REQUIRE(again);
  CHECK(again->bytes == 0);
  CHECK(!again->is_more);
}

TEST_CASE("one with as many documents as a step takes ends with an empty step; an empty one with its only step") {
  document_store store;
  store.fill(numbered(10));
  auto gone = store.drop();
  CHECK(store.erase(*gone->hidden, 10)->is_more);
  CHECK(store.count("document_erasures") == "1");
  CHECK(!store.erase(*gone->hidden, 10)->is_more);
  CHECK(store.count("document_erasures") == "0");
  store.fill({document_of("a")});
  REQUIRE(store.remove("{}"));
  gone = store.drop();
  REQUIRE(gone);
  CHECK(gone->documents == 0);
  CHECK(!store.erase(*gone->hidden, 10)->is_more);
  CHECK(store.count("document_erasures") == "0");
  CHECK(store.count("collection_counts") == "0");
}

TEST_CASE("what was begun is found for all tenants, and one process at a time erases it") {
  document_store store;
  store.fill(numbered(3));
  const auto first = store.drop();
  const auto acme = store.tenant;
  store.tenant = tenant_id::parse("other").value();
  store.fill(numbered(4));
  const auto second = store.drop();
  const auto found = decode_erasures_found(store.run(find_erasures_unit(10)));
  REQUIRE(found);
  REQUIRE(found->size() == 2);
  CHECK(found->front().tenant == acme);
  CHECK(found->front().collection == first->hidden->collection);
  CHECK(decode_erasures_found(store.run(find_erasures_unit(1)))->size() == 1);

  test_connection other(store.database.superuser_conninfo());
  other.exec("BEGIN; SELECT FROM document_erasures FOR UPDATE");
  const auto skipped = store.erase(*second->hidden, 10);
  CHECK(skipped->bytes == 0);
  CHECK(!skipped->is_more);
  CHECK(store.count("documents") == "7");
  other.exec("ROLLBACK");
  CHECK(store.erase(*second->hidden, 10)->bytes < 0);
  CHECK(store.count("documents") == "3");
  // Under another tenant's name nothing of it is there.
  const auto foreign = store.erase({store.tenant, first->hidden->collection}, 10);
  CHECK(foreign->bytes == 0);
  CHECK(store.count("documents") == "3");
  CHECK(store.count("document_erasures") == "1");
}

TEST_CASE("a collection with a table of its own is deleted in one transaction, whatever it has") {
  auto database = test_database::make();
  config::settings settings;
  settings.customers_table_prefix = "parlant_customers_";
  document_tables tables(settings);
  REQUIRE(adopt_store_tables(database.owner_conninfo(), "public", tables));
  document_store store(std::move(database), tables);
  store.collection = "parlant_customers_";
  const delete_collection wanted{store.tenant, store.collection};
  store.fill(numbered(25));
  const auto bytes = std::stoll(store.database.value("SELECT sum(bytes) FROM parlant_customers_"));
  CHECK(decode_collection_count(store.run(count_collection_unit(tables, wanted))).value() == 25);
  auto work = delete_collection_unit(tables, wanted, 10, 25);
  CHECK(work.calls.size() == 2 + 3 + 2); // three statements for what is expected, one for what comes meanwhile
  // A crash in the middle leaves all.
  auto broken = work;
  broken.calls.pop_back();
  broken.calls.push_back(require_unit(tables, store.tenant, store.collection, "none").calls.back());
  CHECK(store.run(std::move(broken)).failure);
  CHECK(store.count("parlant_customers_") == "25");
  const auto gone = decode_deletion(wanted, store.run(std::move(work)));
  REQUIRE(gone);
  CHECK(gone->documents == 25);
  CHECK(gone->bytes == -bytes);
  CHECK(!gone->hidden);
  CHECK(store.collections() == "");
  CHECK(code_of(store.drop()) == "not_found");
  store.fill({document_of("new")});
  CHECK(store.found("{}") == "new");
  CHECK(store.terms_fit("parlant_customers_"));
}

TEST_CASE("what waits to be converted of a collection goes with it") {
  document_store store;
  store.fill({document_of("a")});
  store.database.exec("INSERT INTO failed_migrations (tenant_id, store, collection, document, reason) VALUES"
                      " ('acme', 's', 'things', '{\"id\": \"x\"}', 'r'), ('acme', 's', 'others', '{}', 'r'),"
                      " ('else', 's', 'things', '{}', 'r')");
  const auto gone = store.drop();
  REQUIRE(gone);
  CHECK(gone->bytes == -11);
  CHECK(store.count("failed_migrations") == "2");
  CHECK(store.count("failed_migrations", "tenant_id = 'acme' AND collection = 'things'") == "0");
}
