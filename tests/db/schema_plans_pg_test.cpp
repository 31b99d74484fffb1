// Every statement goes by an index, on filled tables and on empty ones, as the service's connections plan it.
#include "db/analytics_queries.hpp"
#include "db/erasure.hpp"
#include "db/ownership_queries.hpp"
#include "db/replay_queries.hpp"
#include "db/sweep_queries.hpp"
#include "tests/db/session_store.hpp"

#include <set>

using namespace colloquy;
using namespace colloquy::db;
using namespace colloquy::test;

namespace {

const session_key some = new_key();
const timestamp now = record_of(some).created_at;

/// A batch with whatever a batch may have.
unit full_batch() {
  auto record = record_of(some);
  record.external_id = "name";
  record.parent = some.id;
  auto made = making(record), asked = write_to(some), gone = write_to(some);
  made->parent = log_parent{made->log, 0, 0};
  made->key = remembered_key{"create", "k", ""};
  log_maker log(some);
  asked = log.messages(1);
  asked->key = remembered_key{"append", "k", ""};
  asked->participants = {{"bob", participant_role::reader}, {"eve", std::nullopt}};
  asked->changed = made->row;
  asked->turns = {turn_of(1)};
  asked->turns_counted = 1;
  gone->erases = true;
  const std::vector<session_write_ptr> writes{made, asked, gone};
  return encode_batch({process_id::make(), 0, 1, 1}, writes).statements;
}

std::vector<unit> units_of_service() {
  const auto source = session_store::source_of(some);
  log_part backwards;
  backwards.newest_first = true;
  auto plain = making(some);
  const std::vector<session_write_ptr> writes{plain};
  std::vector<unit> units{full_batch(),
                          encode_batch({process_id::make(), 0, 1, 1}, writes).statements,
                          read_session(some),
                          find_session(some.tenant, "name"),
                          read_log(source, {}),
                          read_log(source, backwards),
                          read_turns(some, 10, 10),
                          read_turn(some, turn_id::make()),
                          find_key(some.tenant, some.id, "append", "k"),
                          find_stored_events(some.tenant, source.log, {}),
                          read_key_hashes(some, now, 10),
                          register_process(process_id::make(), {}),
                          read_processes(process_id::make()),
                          renew_process(process_id::make())};
  for (int variant = 0; variant < 40; ++variant) {
    list_sessions wanted;
    wanted.tenant = some.tenant;
    if (variant % 2 != 0)
      wanted.user_id = "ada";
    if (variant / 2 % 2 != 0)
      wanted.agent_id = "x";
    if (variant / 4 % 5 < 4)
      wanted.status = static_cast<session_status>(variant / 4 % 5);
    if (variant >= 20)
      wanted.as_user = "ada";
    units.push_back(*list_sessions_page(wanted, now));
  }
  return units;
}

std::vector<unit> units_of_system() {
  return {find_overdue(now, {}, 10),
          find_expired_before(now, {}, 10),
          forget_keys(now, 10),
          forget_processes(now),
          read_erasures(10),
          find_erasure(some),
          erase_user_step(some.tenant, "ada")};
}

/// The plan of a statement, as text, if it has one to show.
std::string plan_of(test_connection& connection, const statement& what) {
  const std::string sql = what.sql;
  if (sql.find("set_config") != std::string::npos)
    return "";
  std::string types, nulls;
  for (const auto type : what.parameter_types) {
    types += (types.empty() ? "(" : ", ") + connection.value("SELECT " + std::to_string(type) + "::regtype");
    nulls += std::string(nulls.empty() ? "(" : ", ") + "NULL";
  }
  connection.exec("PREPARE planned" + (types.empty() ? "" : types + ")") + " AS " + sql);
  std::string plan;
  for (const auto& row : connection.exec("EXPLAIN EXECUTE planned" + (nulls.empty() ? "" : nulls + ")")))
    plan += row.front() + "\n";
  connection.exec("DEALLOCATE planned");
  return plan;
}

test_connection planner(const test_database& database, const std::string& role) {
  test_connection connection(database.service_conninfo());
  for (const auto& [name, value] : target_of(database).settings)
    connection.exec("SELECT set_config('" + name + "', '" + value + "', false)");
  connection.exec("SELECT set_config('role', '" + role + "', false)");
  return connection;
}

void fill(const test_database& database) {
  database.exec(R"sql(
    INSERT INTO sessions (tenant_id, id, log_id, user_id, agent_id, expires_at, status, created_at)
      SELECT 't' || n % 5, gen_random_uuid(), gen_random_uuid(), 'u' || n % 100, 'a' || n % 7,
             now() + n * interval '1 minute', CASE n % 3 WHEN 0 THEN 'expired' ELSE 'active' END,
             now() - n * interval '1 minute'
        FROM generate_series(1, 5000) AS n;
    INSERT INTO events (tenant_id, log_id, "offset", created_at, kind, data, messages, author)
      SELECT s.tenant_id, s.log_id, n, now(), 'message', '{}', n, 'u' || n
        FROM sessions AS s, generate_series(0, 4) AS n;
    INSERT INTO turns (tenant_id, session_id, number, id, status, started_at, ended_at, log_id, first_offset, messages)
      SELECT s.tenant_id, s.id, n, gen_random_uuid(), CASE n WHEN 1 THEN 'rolled_back' ELSE 'completed' END, now(),
             now(), s.log_id, n, 1 FROM sessions AS s, generate_series(1, 2) AS n;
    INSERT INTO idempotency_keys (tenant_id, session_id, scope, key, fingerprint, created_at)
      SELECT s.tenant_id, s.id, 'append', 'k' || n, '', now() FROM sessions AS s, generate_series(1, 2) AS n;
    INSERT INTO participants (tenant_id, session_id, user_id, role)
      SELECT s.tenant_id, s.id, 'p' || n, 'reader' FROM sessions AS s, generate_series(1, 2) AS n;
    INSERT INTO logs (tenant_id, id) SELECT s.tenant_id, s.log_id FROM sessions AS s;
    ANALYZE)sql");
}

void check_all(const test_database& database) {
  for (const auto& [role, units] :
       {std::pair{"colloquy_service", units_of_service()}, std::pair{"colloquy_system", units_of_system()}}) {
    auto connection = planner(database, role);
    std::set<std::string> seen;
    for (const auto& work : units)
      for (const auto& call : work.calls) {
        if (!seen.insert(call.what->name).second)
          continue;
        const auto plan = plan_of(connection, *call.what);
        INFO(call.what->name << "\n" << plan);
        CHECK(plan.find("Seq Scan") == std::string::npos);
        CHECK(plan.find("Bitmap") == std::string::npos);
        CHECK(plan.find("Hash Join") == std::string::npos);
      }
  }
}

/// The line of the plan that says so, at least once.
void check_plan(const test_database& database, const std::string& role, const statement& what,
                const std::string& line) {
  auto connection = planner(database, role);
  const auto plan = plan_of(connection, what);
  INFO(what.name << "\n" << plan);
  CHECK(plan.find(line) != std::string::npos);
}

const statement& last_of(const unit& work) {
  return *work.calls.back().what;
}

} // namespace

TEST_CASE("no statement reads a whole table, be it empty or full") {
  const auto database = test_database::make();
  check_all(database);
  fill(database);
  check_all(database);
}

TEST_CASE("a log is read along its key from either end, without sorting") {
  const auto database = test_database::make();
  fill(database);
  for (const bool newest_first : {false, true}) {
    log_part part;
    part.newest_first = newest_first;
    const auto work = read_log(session_store::source_of(some), part);
    auto connection = planner(database, "colloquy_service");
    const auto plan = plan_of(connection, last_of(work));
    INFO(plan);
    CHECK(plan.find(newest_first ? "Index Scan Backward using events_pkey" : "Index Scan using events_pkey") !=
          std::string::npos);
    CHECK(plan.find("idx_turns_rolled_back") != std::string::npos);
    CHECK(plan.find("Sort") == std::string::npos);
  }
}

TEST_CASE("pages of sessions come out of the index that is made for them, in its order") {
  const auto database = test_database::make();
  fill(database);
  list_sessions wanted;
  wanted.tenant = some.tenant;
  check_plan(database, "colloquy_service", last_of(*list_sessions_page(wanted, now)), "idx_sessions_created_at");
  wanted.user_id = "ada";
  check_plan(database, "colloquy_service", last_of(*list_sessions_page(wanted, now)), "idx_sessions_user_id");
  wanted.status = session_status::active;
  check_plan(database, "colloquy_service", last_of(*list_sessions_page(wanted, now)), "idx_sessions_user_status");
  wanted.status = session_status::expired;
  check_plan(database, "colloquy_service", last_of(*list_sessions_page(wanted, now)), "idx_sessions_expires_at");
  wanted.user_id.reset();
  wanted.status.reset();
  wanted.agent_id = "x";
  check_plan(database, "colloquy_service", last_of(*list_sessions_page(wanted, now)), "idx_sessions_agent_id");
  wanted.agent_id.reset();
  wanted.as_user = "ada";
  for (const std::string index : {"idx_sessions_user_id", "idx_participants_user_id", "sessions_pkey"})
    check_plan(database, "colloquy_service", last_of(*list_sessions_page(wanted, now)), index);
}

TEST_CASE("what the system looks for it finds by the index that is made for it") {
  const auto database = test_database::make();
  fill(database);
  check_plan(database, "colloquy_system", last_of(find_overdue(now, {}, 10)), "idx_sessions_expires_at");
  check_plan(database, "colloquy_system", last_of(find_expired_before(now, {}, 10)), "idx_sessions_expired");
  check_plan(database, "colloquy_system", last_of(forget_keys(now, 10)), "idx_idempotency_keys_created_at");
  const auto user = erase_user_step(some.tenant, "ada");
  check_plan(database, "colloquy_system", last_of(user), "idx_events_author");
  check_plan(database, "colloquy_system", *user.calls[1].what, "idx_participants_user_id");
}

TEST_CASE("sums go by the range of time that is asked for") {
  const auto database = test_database::make();
  fill(database);
  get_analytics wanted;
  wanted.tenant = some.tenant;
  const auto work = read_analytics(wanted, now);
  auto connection = planner(database, "colloquy_service");
  connection.exec("SET enable_bitmapscan = on; SET enable_hashjoin = on");
  std::string plans;
  for (const auto& call : work.calls)
    plans += plan_of(connection, *call.what);
  INFO(plans);
  for (const std::string index : {"idx_sessions_created_at", "idx_turns_ended_at", "idx_events_created_at"})
    CHECK(plans.find(index) != std::string::npos);
  CHECK(plans.find("Seq Scan") == std::string::npos);
}

TEST_CASE("the functions of the schema go by indexes too") {
  session_store store;
  store.database.exec(R"sql(
    INSERT INTO sessions (tenant_id, id, log_id, user_id) SELECT 'other', g, g, 'u' FROM
      (SELECT gen_random_uuid() AS g FROM generate_series(1, 2000)) AS x;
    INSERT INTO events (tenant_id, log_id, "offset", created_at, kind, data, messages)
      SELECT s.tenant_id, s.log_id, n, now(), 'message', '{}', n FROM sessions AS s, generate_series(0, 4) AS n;
    INSERT INTO turns (tenant_id, session_id, number, id, status, started_at, log_id, first_offset, messages)
      SELECT s.tenant_id, s.id, 1, gen_random_uuid(), 'rolled_back', now(), s.log_id, 0, 1 FROM sessions AS s;
    INSERT INTO idempotency_keys (tenant_id, session_id, scope, key, fingerprint, made_session_id, created_at)
      SELECT s.tenant_id, s.id, 'append', 'k', '', s.id, now() FROM sessions AS s;
    INSERT INTO participants (tenant_id, session_id, user_id, role) SELECT s.tenant_id, s.id, 'p', 'reader'
      FROM sessions AS s;
    INSERT INTO logs (tenant_id, id) SELECT s.tenant_id, s.log_id FROM sessions AS s;
    INSERT INTO erasures (tenant_id, session_id, log_id, user_id)
      SELECT s.tenant_id, s.id, s.log_id, 'u' FROM sessions AS s;
    ANALYZE)sql");
  const auto root = new_key();
  log_maker log(root);
  store.commit({making(root), log.messages(5)});
  auto record = record_of(new_key());
  record.parent = root.id;
  record.fork_offset = 2;
  record.expires_at = record.created_at;
  auto fork = making(record);
  fork->parent = log_parent{log_id{root.id.bytes}, 2, 3};
  const auto scanned = [&] {
    return store.database.value(
        "SELECT coalesce(string_agg(relname || ': ' || seq_scan, ', '), '') FROM pg_stat_user_tables WHERE seq_scan > 0"
        " AND relname IN ('sessions', 'events', 'turns', 'logs', 'idempotency_keys', 'participants', 'erasures')");
  };
  static constexpr statement flush{"flush_counts", "SELECT pg_stat_force_next_flush()", {}};
  store.run({{{&flush, {}}}});
  store.database.exec("SELECT pg_stat_reset()");
  store.commit({fork});
  store.read_log(session_store::source_of(record.key, true));
  store.run(count_hidden(session_store::source_of(record.key, true), 4));
  store.run(find_fork_point(session_store::source_of(record.key, true), 1));
  store.database.exec("UPDATE shards SET process_id = '" + store.process.to_string() + "'");
  CHECK(*decode_marked(store.run(mark_expired(store.process, system_time(), {record.key}))) == 1);
  auto erase = write_to(record.key);
  erase->erases = true;
  store.commit({erase});
  for (int i = 0; i < 3; ++i)
    store.run(erase_step(record.key));
  store.run({{{&flush, {}}}});
  store.run({{{&flush, {}}}});
  CHECK(scanned() == "");
  CHECK(store.database.value("SELECT bool_and(idx_scan > 0) FROM pg_stat_user_tables WHERE relname IN ('sessions',"
                             " 'events', 'turns', 'logs', 'idempotency_keys', 'participants', 'erasures')") == "t");
  CHECK(store.count("events", "tenant_id = 'acme'") == "5");
}
