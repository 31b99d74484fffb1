// On a database whose default collation is a language's, text is ordered and compared by code point all the same.
#include "db/document_table_adoption.hpp"
#include "db/migrator.hpp"
#include "tests/db/document_store.hpp"

using namespace colloquy;
using namespace colloquy::db;
using namespace colloquy::test;

namespace {

test_database of_english() {
  auto database = test_database::make_empty();
  test_connection server(database.conninfo_as("postgres") + " dbname=postgres");
  server.exec("DROP DATABASE " + database.name());
  server.exec("CREATE DATABASE " + database.name() +
              " OWNER colloquy_owner TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C.UTF-8'");
  const auto done = migrate(database.owner_conninfo(), "public", {"colloquy"});
  if (!done)
    FAIL(done.failure().message);
  return database;
}

void check_order(document_store& store) {
  // In English: _ a A b B é z Z.
  store.fill({document_of("z", R"("v": "z")", "\"z\""), document_of("B", R"("v": "B")", "\"B\""),
              document_of("a", R"("v": "a")", "\"a\""), document_of("A", R"("v": "A")", "\"A\""),
              document_of("é", R"("v": "é")", "\"é\""), document_of("_", R"("v": "_")", "\"_\"")});
  CHECK(store.found("{}") == "A B _ a z é");
  CHECK(store.found(R"({"v": {"$gt": "_"}})") == "a z é");
  CHECK(store.found(R"({"v": {"$lte": "_"}})") == "A B _");
  CHECK(store.found(R"({"creation_utc": {"$gte": "a"}})") == "a z é");
  CHECK(store.found(R"({"id": {"$lt": "_"}})") == "A B");
  CHECK(store.found(R"({"v": {"$eq": "a"}})") == "a");
  CHECK(store.found(R"({"v": {"$in": ["é", "A"]}})") == "A é");
  CHECK(store.found(R"({"v": {"$eq": "é"}})") == "é"); // e and an accent of its own are another text
  auto wanted = store.query("{}");
  wanted.order = {document_order::key::id, true};
  wanted.limit = 4;
  CHECK(store.ids(*store.find(wanted)) == "é z a _");
  find_document one{store.tenant, store.collection, filter_of("{}"), std::vector<field_order>{{"v", true}}};
  CHECK(store.id_of(*decode_one(store.run(find_one_unit(store.tables, one)))->document) == "é");
  CHECK(store.id_of(*store.update("{}", R"({"u": 1})")->reply.document) == "A");
  CHECK(store.terms_fit(store.tables.find(store.collection) ? store.collection : "documents"));
}

} // namespace

TEST_CASE("documents are ordered by code point whatever the database's collation is") {
  config::settings settings;
  settings.customers_table_prefix = "parlant_customers_";
  const document_tables tables(settings);
  auto database = of_english();
  REQUIRE(adopt_store_tables(database.owner_conninfo(), "public", tables));
  CHECK(database.value("SELECT 'a' < 'B'") == "t");
  document_store store(std::move(database), tables);
  check_order(store);
  store.collection = "parlant_customers_";
  check_order(store);
}
