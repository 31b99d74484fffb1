// What the schema promises of tenants: who sees and changes what, what there was before, and what is counted.
#include "db/erasure.hpp"
#include "db/migrator.hpp"
#include "db/sweep_queries.hpp"
#include "tests/db/tenant_store.hpp"

#include <algorithm>

using namespace colloquy;
using namespace colloquy::db;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

constexpr const char* denied = "42501"; // insufficient_privilege, which a row policy's refusal is too

test_connection connect_as(const test_database& database, const std::string& role) {
  test_connection connection(database.service_conninfo());
  connection.exec("SET ROLE " + role);
  return connection;
}

std::string sqlstate_for(test_connection& connection, const std::string& tenants, const std::string& sql) {
  connection.exec("BEGIN; SELECT set_config('colloquy.tenants', '" + tenants + "', true)");
  auto state = connection.sqlstate_of(sql);
  connection.exec("ROLLBACK");
  return state;
}

std::string value_for(test_connection& connection, const std::string& tenants, const std::string& sql) {
  connection.exec("BEGIN; SELECT set_config('colloquy.tenants', '" + tenants + "', true)");
  auto value = connection.value(sql);
  connection.exec("ROLLBACK");
  return value;
}

/// Two tenants with a key and an entry each.
void fill(tenant_store& store) {
  for (const std::string name : {"a", "b"}) {
    REQUIRE(store.make_tenant(tenant_to_be(name)));
    REQUIRE(store.make_key(key_to_be(name, "key-of-" + name)));
  }
}

std::string insert_audit_of(const std::string& tenant) {
  return "INSERT INTO audit_log SELECT '" + tenant + "', now(), gen_random_uuid(), 'x', 'x', 'x', 'x', 'x'";
}

std::string used(tenant_store& store, const std::string& tenant) {
  return store.database.value("SELECT sessions || ' ' || stored_bytes FROM tenants WHERE tenant_id = '" + tenant + "'");
}

void add(tenant_store& store, std::int64_t seq, const std::vector<tenant_usage>& more,
         const uuid_bytes& meter = uuid_bytes{1}) {
  REQUIRE(decode_done(store.run(count_usage(meter, seq, more))));
}

erased erase(tenant_store& store, const session_key& key) {
  auto write = write_to(key);
  write->erases = true;
  store.commit({write});
  for (;;) {
    const auto step = decode_erasure(store.run(erase_step(key)));
    REQUIRE(step);
    if (step->is_done)
      return step->so_far;
  }
}

} // namespace

TEST_CASE("the service sees the tenants, keys and audit entries of its transaction, and nobody's digest") {
  tenant_store store;
  fill(store);
  auto service = connect_as(store.database, "colloquy_service");
  for (const std::string table : {"tenants", "api_keys", "audit_log"}) {
    INFO(table);
    const auto seen = "SELECT coalesce(string_agg(DISTINCT tenant_id, ',' ORDER BY tenant_id), '') FROM " + table;
    CHECK(value_for(service, "a", seen) == "a");
    CHECK(value_for(service, "a,b", seen) == "a,b");
    CHECK(value_for(service, "", seen) == "");
    CHECK(value_for(service, "nobody", seen) == "");
  }
  for (const std::string sql : {"SELECT sha256 FROM api_keys", "SELECT * FROM api_keys", "SELECT * FROM service_keys",
                                "SELECT * FROM usage_meters", "SELECT idempotency_fingerprint FROM tenants"})
    CHECK(sqlstate_for(service, "a", sql) == denied);
}

TEST_CASE("the service changes of tenants and keys what it must, of its own tenants only, and deletes nothing") {
  tenant_store store;
  fill(store);
  auto service = connect_as(store.database, "colloquy_service");
  CHECK(sqlstate_for(service, "a", "UPDATE tenants SET sessions_max = 1") == "");
  CHECK(sqlstate_for(service, "a", "UPDATE tenants SET sessions_max = 0") == "23514");
  const auto changed = [&](const std::string& sql) {
    return value_for(service, "a",
                     "WITH c AS (" + sql + " RETURNING tenant_id) SELECT string_agg(tenant_id, ',') FROM c");
  };
  CHECK(changed("UPDATE tenants SET sessions_max = 1") == "a");
  CHECK(changed("UPDATE api_keys SET revoked_at = now()") == "a");
  for (const std::string sql :
       {"UPDATE tenants SET stored_bytes = 0", "UPDATE tenants SET title = ''", "UPDATE tenants SET tenant_id = 'b'",
        "INSERT INTO tenants (tenant_id) VALUES ('a2')", "DELETE FROM tenants", "DELETE FROM api_keys",
        "TRUNCATE api_keys", "UPDATE api_keys SET sha256 = sha256", "UPDATE api_keys SET can_admin = true",
        "UPDATE api_keys SET tenant_id = 'b'", "UPDATE api_keys SET user_id = NULL",
        "SELECT add_usage('{a}', '{1}', '{1}')", "INSERT INTO service_keys (admin_sha256) VALUES ('')",
        "INSERT INTO api_keys (tenant_id, id, prefix, sha256, can_read, can_write, can_admin, created_at)"
        " SELECT 'b', gen_random_uuid(), 'new', sha256('x'), true, true, true, now()"})
    CHECK(sqlstate_for(service, "a", sql) == denied);
}

TEST_CASE("the audit log is added to by its own tenant, and changed or deleted from by nobody") {
  tenant_store store;
  fill(store);
  auto service = connect_as(store.database, "colloquy_service");
  auto system = connect_as(store.database, "colloquy_system");
  CHECK(sqlstate_for(service, "a", insert_audit_of("a")) == "");
  CHECK(sqlstate_for(service, "a", insert_audit_of("b")) == denied);
  CHECK(sqlstate_for(service, "a", insert_audit_of("")) == denied);
  CHECK(sqlstate_for(service, "", insert_audit_of("a")) == denied);
  for (const std::string sql : {"UPDATE audit_log SET actor = 'x'", "DELETE FROM audit_log", "TRUNCATE audit_log"})
    for (auto* who : {&service, &system})
      CHECK(sqlstate_for(*who, "a", sql) == denied);
  test_connection owner(store.database.owner_conninfo());
  owner.exec("SET colloquy.tenants = 'a,b'");
  owner.exec("UPDATE audit_log SET actor = 'x'; DELETE FROM audit_log");
  CHECK(store.count("audit_log", "actor <> 'x'") == "4");
}

TEST_CASE("the system role reads digests and counts, and sees of the audit log no more than that an entry is there") {
  tenant_store store;
  fill(store);
  auto system = connect_as(store.database, "colloquy_system");
  CHECK(system.value("SELECT count(sha256) FROM api_keys") == "2");
  CHECK(system.value("SELECT count(id) FROM audit_log") == "4");
  for (const std::string sql :
       {"SELECT actor FROM audit_log", "SELECT target FROM audit_log", "UPDATE api_keys SET revoked_at = now()",
        "DELETE FROM api_keys", "INSERT INTO api_keys (tenant_id) VALUES ('a')", "UPDATE tenants SET sessions_max = 1",
        "DELETE FROM tenants", "UPDATE service_keys SET created_at = now()", "DELETE FROM service_keys"})
    CHECK(system.sqlstate_of(sql) == denied);
}

TEST_CASE("what a meter counts is added once, whoever asks again; a tenant that is not there yet is made") {
  tenant_store store;
  REQUIRE(store.make_tenant(tenant_to_be("acme")));
  add(store, 1, {{tenant_named("acme"), 2, 100}, {tenant_named("new"), 1, 7}});
  CHECK(used(store, "acme") == "2 100");
  CHECK(used(store, "new") == "1 7");
  add(store, 1, {{tenant_named("acme"), 2, 100}}); // its answer was lost
  CHECK(used(store, "acme") == "2 100");
  add(store, 2, {{tenant_named("acme"), 1, 1}});
  add(store, 1, {{tenant_named("acme"), 1, 1}}, uuid_bytes{2});
  CHECK(used(store, "acme") == "4 102");
  CHECK(store.read_tenant("acme")->sessions == 4);
  CHECK(store.read_tenant("acme")->stored_bytes == 102);
  store.database.exec("UPDATE usage_meters SET counted_at = now() - interval '3 days'");
  add(store, 1, {}, uuid_bytes{3});
  CHECK(store.count("usage_meters") == "1");
}

TEST_CASE("what an erasure takes away the tenant has less, whatever was counted first") {
  tenant_store store;
  REQUIRE(store.make_tenant(tenant_to_be("acme")));
  log_maker log(new_key("acme")), other(new_key("acme"));
  store.commit({making(log.key()), log.messages(10)});
  store.commit({making(other.key()), other.status(R"({"größe":1})")});
  add(store, 1, {{tenant_named("acme"), 2, 23}});
  CHECK(erase(store, log.key()).events == 10);
  CHECK(used(store, "acme") == "1 13");
  CHECK(erase(store, other.key()).events == 1);
  CHECK(used(store, "acme") == "0 0");

  log_maker quick(new_key("acme"));
  store.commit({making(quick.key()), quick.messages(3)});
  erase(store, quick.key()); // before it was counted
  CHECK(used(store, "acme") == "-1 -3");
  CHECK(store.read_tenant("acme")->sessions == 0);
  CHECK(store.read_tenant("acme")->stored_bytes == 0);
  add(store, 2, {{tenant_named("acme"), 1, 3}});
  CHECK(used(store, "acme") == "0 0");
}

TEST_CASE("what a fork still shows counts until it goes too, and what expiry writes counts as well") {
  tenant_store store;
  REQUIRE(store.make_tenant(tenant_to_be("acme")));
  log_maker log(new_key("acme"));
  store.commit({making(log.key()), log.messages(10)});
  auto record = record_of(new_key("acme"));
  record.parent = log.key().id;
  record.fork_offset = 3;
  auto fork = making(record);
  fork->parent = log_parent{log_id{log.key().id.bytes}, 3, 4};
  store.commit({fork});
  add(store, 1, {{tenant_named("acme"), 2, 10}});
  erase(store, log.key());
  CHECK(used(store, "acme") == "1 4");
  erase(store, record.key);
  CHECK(used(store, "acme") == "0 0");

  auto overdue = record_of(new_key("acme"));
  overdue.expires_at = some_day;
  store.commit({making(overdue)});
  add(store, 2, {{tenant_named("acme"), 1, 0}});
  store.database.exec("UPDATE shards SET process_id = '" + store.process.to_string() + "'");
  REQUIRE(decode_marked(store.run(mark_expired(store.process, some_day + 1s, {overdue.key}))).value() == 1);
  CHECK(used(store, "acme") == "1 20");
  erase(store, overdue.key);
  CHECK(used(store, "acme") == "0 0");
}

TEST_CASE("tenants that had sessions before there were tenants get a row, and what they have is counted once") {
  auto database = test_database::make_empty();
  const auto all = embedded_migrations();
  const auto end = std::find_if(all.begin(), all.end(), [](const auto& each) { return each.number > 4; });
  const std::vector<std::string> logins{"colloquy"};
  REQUIRE(migrate(database.owner_conninfo(), "public", logins, {all.begin(), end}));
  database.exec(R"sql(
    INSERT INTO sessions (tenant_id, id, log_id, user_id)
      SELECT t, gen_random_uuid(), gen_random_uuid(), 'ada' FROM unnest('{acme,acme,default,empty}'::text[]) AS t;
    INSERT INTO events (tenant_id, log_id, "offset", created_at, kind, data, messages)
      SELECT tenant_id, log_id, n, now(), 'message', '"é"', n FROM sessions, generate_series(0, 2) AS n
       WHERE tenant_id <> 'empty';
    INSERT INTO erasures (tenant_id, session_id, log_id, user_id)
      VALUES ('acme', gen_random_uuid(), gen_random_uuid(), 'bob');
    INSERT INTO events (tenant_id, log_id, "offset", created_at, kind, data, messages)
      SELECT 'acme', log_id, 0, now(), 'message', '{}', 1 FROM erasures)sql");
  REQUIRE(migrate(database.owner_conninfo(), "public", logins));
  CHECK(database.value("SELECT count(*) FROM pg_policies WHERE policyname = 'backfill'") == "0");
  tenant_store store(std::move(database));
  CHECK(used(store, "acme") == "3 26");
  CHECK(used(store, "default") == "1 12");
  CHECK(used(store, "empty") == "1 0");
  CHECK(store.count("tenants") == "3");
  const session_key half_erased{tenant_named("acme"),
                                session_id::parse(store.database.value("SELECT session_id FROM erasures")).value()};
  REQUIRE(decode_erasure(store.run(erase_step(half_erased)))->is_done);
  CHECK(used(store, "acme") == "2 24");
}

TEST_CASE("a new database has the tenant default") {
  tenant_store store;
  CHECK(store.read_tenant("default")->quotas == tenant_quotas{});
}
