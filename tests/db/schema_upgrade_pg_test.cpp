// The schema is brought up to date with rows in it, by an owner who sees none of them.
#include "db/migrator.hpp"
#include "tests/db/session_store.hpp"

#include <algorithm>

using namespace colloquy;
using namespace colloquy::db;
using namespace colloquy::test;

namespace {

const std::vector<std::string> logins{"colloquy"};

void migrate_through(const test_database& database, int number) {
  const auto all = embedded_migrations();
  const auto end = std::find_if(all.begin(), all.end(), [&](const auto& each) { return each.number > number; });
  const auto done = migrate(database.owner_conninfo(), "public", logins, {all.begin(), end});
  if (!done)
    FAIL(done.failure().message);
}

const std::string first = "00000000-0000-7000-8000-000000000001";
const std::string second = "00000000-0000-7000-8000-000000000002";
const std::string turn = "00000000-0000-7000-8000-00000000000a";

/// What the first version of the service left: two tenants' logs, a turn in the middle of one.
void fill_first_version(const test_database& database) {
  database.exec("INSERT INTO sessions (tenant_id, id, log_id, user_id, created_at, updated_at, expires_at) VALUES"
                " ('acme', '" +
                first + "', '" + first +
                "', 'ada', '2026-01-01Z', '2026-01-02Z', '2026-01-01 02:00Z'),"
                " ('other', '" +
                second + "', '" + second + "', 'bob', '2026-01-01Z', '2026-01-02Z', NULL)");
  database.exec("INSERT INTO events (tenant_id, log_id, \"offset\", created_at, kind, turn_id, data)"
                " SELECT t, l, n, now(), CASE n % 3 WHEN 0 THEN 'status' ELSE 'message' END,"
                " CASE WHEN n BETWEEN 3 AND 7 AND t = 'acme' THEN '" +
                turn +
                "'::uuid END, n::text"
                " FROM (VALUES ('acme', '" +
                first + "'::uuid), ('other', '" + second +
                "'::uuid)) AS s(t, l),"
                " generate_series(0, 9) AS n");
  database.exec("INSERT INTO turns (tenant_id, session_id, number, id, status, started_at) VALUES"
                " ('acme', '" +
                first + "', 1, '" + turn + "', 'running', now())");
}

std::string row_of(const test_database& database, const std::string& sql) {
  std::string out;
  for (const auto& row : database.exec(sql))
    for (const auto& value : row)
      out += value + " ";
  return out;
}

} // namespace

TEST_CASE("a database of the first version keeps its rows and learns what the new columns say") {
  auto database = test_database::make_empty();
  migrate_through(database, 1);
  fill_first_version(database);
  migrate_through(database, 1'000'000);
  for (const auto* tenant : {"acme", "other"})
    CHECK(row_of(database, std::string("SELECT messages FROM events WHERE tenant_id = '") + tenant +
                               "' ORDER BY \"offset\"") == "0 1 2 2 3 4 4 5 6 6 ");
  CHECK(row_of(database, "SELECT log_id, first_offset, messages, process_id FROM turns") == first + " 3 3  ");
  CHECK(row_of(database, "SELECT updated_at = '2026-01-02Z', expires_in_s FROM sessions ORDER BY tenant_id") ==
        "t  t  ");
  CHECK(row_of(database, "SELECT count(*) FROM pg_policies WHERE policyname = 'backfill'") == "0 ");
  CHECK(row_of(database, "SELECT count(*) FROM logs") == "0 ");
  const auto state = check_schema(database.owner_conninfo(), "public");
  REQUIRE(state);
  CHECK(state->missing.empty());
  CHECK(state->changed.empty());

  // What was there is written on and erased like anything else.
  session_store store(std::move(database));
  const session_key key{tenant_id::parse("acme").value(), session_id::parse(first).value()};
  auto read = store.read(key);
  CHECK(read.record.next_offset == 10);
  CHECK(read.messages == 6);
  CHECK(read.record.expires_in == std::chrono::hours{2});
  REQUIRE(read.last_turn);
  CHECK(read.last_turn->first_offset == 3);
  CHECK(read.last_turn->messages == 3);
  CHECK(read.last_turn->granted_by.is_nil());
  log_maker log(key, 10, 6);
  auto write = log.messages(1);
  write->turns = {*read.last_turn};
  write->turns[0].status = turn_status::rolled_back;
  write->turns[0].ended_at = write->turns[0].started_at;
  store.commit({write});
  CHECK(store.read_log(key) == "0 1 2 8 9 10");
  CHECK(*decode_count(store.run(count_hidden(session_store::source_of(key), 10))) == 3);
}

TEST_CASE("an empty database of the first version is brought up to date by its owner, who may be no superuser") {
  const auto database = test_database::make_empty();
  migrate_through(database, 1);
  migrate_through(database, 1'000'000);
  const auto state = check_schema(database.service_conninfo(), "public");
  REQUIRE(state);
  CHECK(state->describe("public") == "");
}
