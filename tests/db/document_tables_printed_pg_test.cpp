// What `colloquy migrate --print-sql` prints, run by psql, against what `colloquy migrate` does by itself.
#include "config/settings.hpp"
#include "db/document_table_adoption.hpp"
#include "db/migrator.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/test_cluster.hpp"

#include <array>
#include <cstdio>
#include <fstream>
#include <memory>
#include <sstream>

using namespace colloquy;
using namespace colloquy::db;
using namespace colloquy::test;

namespace {

const std::vector<std::string> logins{"colloquy"};

document_tables all_tables() {
  config::settings settings;
  settings.sessions_table_prefix = "parlant_sessions_";
  settings.customers_table_prefix = "parlant_customers_";
  settings.context_variables_table_prefix = "parlant_context_variables_";
  return document_tables(settings);
}

std::string output_of(const std::string& command) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen((command + " 2>&1").c_str(), "r"), &::pclose);
  REQUIRE(pipe);
  std::string out;
  for (std::array<char, 4096> piece{}; std::fgets(piece.data(), piece.size(), pipe.get()) != nullptr;)
    out += piece.data();
  return out;
}

/// All that there is: tables with their columns, defaults, checks and indexes, functions, triggers, policies, grants,
/// comments.
std::string schema_of(const test_database& database) {
  const auto dumped = output_of("pg_dump --schema-only \"" + database.superuser_conninfo() + "\"");
  std::istringstream lines(dumped);
  std::string out;
  for (std::string line; std::getline(lines, line);)
    if (!line.starts_with("\\restrict") && !line.starts_with("\\unrestrict")) // random words of newer versions
      out += line + "\n";
  return out;
}

std::string first_difference(const std::string& left, const std::string& right) {
  std::istringstream lines_left(left), lines_right(right);
  for (std::string one, other; std::getline(lines_left, one);)
    if (!std::getline(lines_right, other) || one != other)
      return one + " | " + other;
  return left.size() == right.size() ? "" : "one is longer";
}

/// As an administrator does it, who has what is printed in a file.
void paste_printed(const test_database& database) {
  const auto printed = print_sql("public", logins);
  REQUIRE(printed);
  temp_dir folder;
  const auto file = folder / "printed.sql";
  REQUIRE((std::ofstream(file) << *printed << print_adoption_sql("public", all_tables())).flush());
  CHECK(output_of("PGOPTIONS='-c client_min_messages=warning' psql -X -q -o /dev/null -v ON_ERROR_STOP=1 -f " +
                  file.string() + " \"" + database.owner_conninfo() + "\"") == "");
}

/// Tells how many tables were made or adopted.
std::size_t migrate_all(const test_database& database) {
  const auto migrated = migrate(database.owner_conninfo(), "public", logins);
  INFO((migrated ? "" : migrated.failure().message));
  REQUIRE(migrated);
  const auto adopted = adopt_store_tables(database.owner_conninfo(), "public", all_tables());
  INFO((adopted ? "" : adopted.failure().message));
  REQUIRE(adopted);
  return adopted->size();
}

/// The tables as another program has made them, with a document in each.
void make_by_hand(const test_database& database) {
  test_connection owner(database.owner_conninfo());
  const auto tables = all_tables();
  for (const auto& each : tables.all())
    owner.exec("CREATE TABLE " + each.table +
               (each.holds_documents
                    ? " (id TEXT NOT NULL PRIMARY KEY, version TEXT, creation_utc TEXT, session_id TEXT,"
                      " customer_id TEXT, agent_id TEXT, data JSONB NOT NULL DEFAULT '{}')"
                    : " (id TEXT, data JSONB DEFAULT '{}')") +
               "; INSERT INTO " + each.table + " (id, data) VALUES ('a', '{\"k\": 1}'); ALTER TABLE " + each.table +
               " ENABLE ROW LEVEL SECURITY; CREATE POLICY \"Allow all operations on " + each.table + "\" ON " +
               each.table + " FOR ALL USING (true) WITH CHECK (true)");
}

} // namespace

TEST_CASE("the printed SQL makes the stores' tables as the program makes them") {
  auto pasted = test_database::make_empty(), migrated = test_database::make_empty();
  paste_printed(pasted);
  CHECK(migrate_all(migrated) == 17);
  const auto schema = schema_of(migrated);
  CHECK_THAT(schema, ContainsSubstring("CREATE TABLE public.parlant_sessions_events"));
  CHECK_THAT(schema, ContainsSubstring("idx_parlant_customers__data_gin"));
  CHECK(first_difference(schema_of(pasted), schema) == "");
  CHECK(migrate_all(pasted) == 0);
  CHECK(first_difference(schema_of(pasted), schema) == "");
}

TEST_CASE("the printed SQL adopts tables that were made by hand as the program adopts them") {
  auto pasted = test_database::make_empty(), migrated = test_database::make_empty();
  make_by_hand(pasted);
  make_by_hand(migrated);
  paste_printed(pasted);
  CHECK(migrate_all(migrated) == 17);
  CHECK(migrate_all(pasted) == 0);
  CHECK(first_difference(schema_of(pasted), schema_of(migrated)) == "");
  for (const std::string what :
       {"SELECT string_agg(concat_ws(' ', t.tenant_id, t.collection_id, t.term, t.sort_key, t.id), ';' ORDER BY"
        " t.collection_id, t.term) FROM document_terms AS t",
        "SELECT string_agg(concat_ws(' ', c.tenant_id, c.name), ';' ORDER BY c.name) FROM collections AS c",
        "SELECT string_agg(concat_ws(' ', c.tenant_id, c.collection_id, c.documents), ';' ORDER BY c.collection_id)"
        " FROM collection_counts AS c"}) {
    INFO(what);
    CHECK(pasted.value(what) != "");
    CHECK(pasted.value(what) == migrated.value(what));
  }
}
