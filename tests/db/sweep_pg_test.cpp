// What is done for all tenants as time passes, against a real server.
#include "db/sweep_queries.hpp"
#include "tests/db/session_store.hpp"

#include <algorithm>
#include <future>

using namespace colloquy;
using namespace colloquy::db;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

const timestamp noon = record_of(new_key()).created_at + 12h;

session_key make(session_store& store, std::optional<timestamp> expires_at, const std::string& tenant = "acme") {
  auto record = record_of(new_key(tenant));
  record.expires_at = expires_at;
  store.commit({making(record)});
  return record.key;
}

shard_set all_shards() {
  return shard_set{}.set();
}
shard_set shards_of(const std::vector<session_key>& keys) {
  shard_set out;
  for (const auto& key : keys)
    out.set(shard_of(key.id));
  return out;
}

/// Makes our process the owner of those.
void own(session_store& store, const shard_set& shards) {
  std::string list = "-1";
  for (std::size_t i = 0; i < shards.size(); ++i)
    if (shards.test(i))
      list += "," + std::to_string(i);
  store.database.exec("UPDATE shards SET process_id = NULL; UPDATE shards SET process_id = '" +
                      store.process.to_string() + "' WHERE shard IN (" + list + ")");
}

std::vector<session_key> overdue(session_store& store, const shard_set& shards, std::size_t limit = 100) {
  const auto found = decode_session_keys(store.run(find_overdue(noon, shards, limit)));
  REQUIRE(found);
  return *found;
}

std::int64_t mark(session_store& store, const std::vector<session_key>& keys, timestamp now = noon) {
  const auto marked = decode_marked(store.run(mark_expired(store.process, now, keys)));
  REQUIRE(marked);
  return *marked;
}

} // namespace

TEST_CASE("overdue sessions are found, the longest overdue first, of the shards that are asked for") {
  session_store store;
  const auto late = make(store, noon - 1h), later = make(store, noon - 2h, "other"), now = make(store, noon);
  make(store, noon + 1us);
  make(store, std::nullopt);
  CHECK(overdue(store, all_shards()) == std::vector{later, late, now});
  CHECK(overdue(store, all_shards(), 2) == std::vector{later, late});
  CHECK(overdue(store, shard_set{}).empty());
  auto others = all_shards() & ~shards_of({late});
  CHECK(overdue(store, others) == std::vector{later, now});
  CHECK(overdue(store, shards_of({late})) == std::vector{late});
}

TEST_CASE("what is overdue is marked once, with its event at the end of its log, by the owner alone") {
  session_store store;
  const auto empty = make(store, noon - 1h), spoken = make(store, noon - 1h, "other"),
             not_ours = make(store, noon - 1h), not_due = make(store, noon + 1h);
  log_maker log(spoken);
  store.commit({log.messages(2), log.status("{}")});
  own(store, all_shards() & ~shards_of({not_ours}));
  const std::vector all{empty, spoken, not_ours, not_due, new_key()};
  const bool apart = !shards_of({empty, spoken}).test(shard_of(not_ours.id));
  if (!apart)
    return; // one in five hundred
  CHECK(mark(store, all) == 2);
  CHECK(mark(store, all) == 0);
  CHECK(store.read(empty).record.status == session_status::expired);
  CHECK(store.read(empty).record.durable_offset == 0);
  CHECK(store.read_log(empty) == R"({"status":"expired"})");
  CHECK(store.read(spoken).record.durable_offset == 3);
  CHECK(store.read(spoken).messages == 2);
  CHECK(store.read_log(spoken) == R"(0 1 {} {"status":"expired"})");
  const auto last = decode_log(store.run(read_log(session_store::source_of(spoken), {})))->back();
  CHECK(last.kind == event_kind::status);
  CHECK(last.created_at == noon);
  CHECK(last.messages == 2);
  CHECK(last.turn.is_nil());
  CHECK(store.read(not_ours).record.status == session_status::active);
  CHECK(store.read(not_ours).record.durable_offset == -1);
  CHECK(store.read(not_due).record.status == session_status::active);
  CHECK(overdue(store, all_shards()) == std::vector{not_ours});
}

TEST_CASE("a fork that has no events of its own expires behind what it shares") {
  session_store store;
  const auto root = make(store, std::nullopt);
  log_maker log(root);
  store.commit({log.status("s"), log.messages(3)});
  auto record = record_of(new_key());
  record.parent = root.id;
  record.fork_offset = 2;
  record.expires_at = noon - 1h;
  auto write = making(record);
  write->parent = log_parent{log_id{root.id.bytes}, 2, 2};
  store.commit({write});
  own(store, all_shards());
  CHECK(mark(store, {record.key}) == 1);
  const auto read = store.read(record.key);
  CHECK(read.record.durable_offset == 3);
  CHECK(read.messages == 2);
  CHECK(store.read_log(session_store::source_of(record.key, true)) == R"(s 1 2 {"status":"expired"})");
  CHECK(store.read(root).record.durable_offset == 3);
}

TEST_CASE("shards do not change hands while what they hold is being marked") {
  session_store store;
  const auto key = make(store, noon - 1h), later = make(store, noon - 1h);
  own(store, all_shards());
  test_connection marking(store.database.service_conninfo());
  marking.exec("BEGIN; SET LOCAL ROLE colloquy_system; SELECT cleanup_expired_sessions('" + store.process.to_string() +
               "', '2030-01-01Z', '{acme}', '{" + key.id.to_string() + "}')");
  const process_id other = process_id::make();
  REQUIRE_FALSE(store.run(register_process(other, {})).failure);
  auto taking = std::async(std::launch::async, [&] { return decode_taken(store.run(take_shards(other, {}))); });
  const auto blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND pid = " +
                       std::to_string(store.connection.link().backend_pid());
  while (store.database.value(blocked) != "1") {
  }
  marking.exec("COMMIT");
  CHECK(taking.get()->taken.all());
  CHECK(store.read(key).record.status == session_status::expired);
  CHECK(mark(store, {later}) == 0); // not its any more
}

TEST_CASE("sessions that expired long ago are found, and only those that are marked") {
  session_store store;
  const auto old = make(store, noon - 48h), older = make(store, noon - 72h), young = make(store, noon - 1h);
  own(store, all_shards());
  mark(store, {old, older, young});
  make(store, noon - 72h);
  const auto found = decode_session_keys(store.run(find_expired_before(noon - 24h, all_shards(), 10)));
  REQUIRE(found);
  CHECK(*found == std::vector{older, old});
  CHECK(decode_session_keys(store.run(find_expired_before(noon - 48h, all_shards(), 10)))->size() == 1);
  CHECK(decode_session_keys(store.run(find_expired_before(noon, shards_of({young}), 1)))->size() == 1);
}

TEST_CASE("keys are forgotten, the oldest first and so many at a time") {
  session_store store;
  const auto key = make(store, std::nullopt), other = make(store, std::nullopt, "other");
  for (int i = 0; i < 6; ++i) {
    auto write = write_to(i % 2 == 0 ? key : other);
    write->key = remembered_key{"append", std::to_string(i), ""};
    write->key->made_at = noon + std::chrono::hours{i};
    store.commit({write});
  }
  const auto forget = [&](timestamp before, std::size_t limit) {
    return *decode_forgotten(store.run(forget_keys(before, limit)));
  };
  const auto kept = [&] {
    return store.database.value("SELECT string_agg(key, ' ' ORDER BY key) FROM idempotency_keys");
  };
  CHECK(forget(noon + 4h, 3) == 3);
  CHECK(kept() == "3 4 5");
  CHECK(forget(noon + 4h, 3) == 1);
  CHECK(kept() == "4 5");
  CHECK(forget(noon + 4h, 3) == 0);
}

TEST_CASE("processes are forgotten that own nothing and were not heard of for long") {
  session_store store;
  const auto now = system_time();
  for (int i = 0; i < 3; ++i) {
    const auto process = process_id::make();
    REQUIRE_FALSE(store.run(register_process(process, {})).failure);
    REQUIRE(decode_claim(store.run(claim_writer(process, 0, 0))));
    if (i == 0)
      store.database.exec("UPDATE shards SET process_id = '" + process.to_string() + "' WHERE shard = 7");
    if (i < 2)
      store.database.exec("UPDATE processes SET renewed_at = renewed_at - interval '40 days' WHERE process_id = '" +
                          process.to_string() + "'");
  }
  CHECK(*decode_forgotten(store.run(forget_processes(now - 720h))) == 1);
  CHECK(store.count("processes") == "2");
  CHECK(store.count("writers") == "2");
}

TEST_CASE("marking and sweeping are the system's alone") {
  const auto database = test_database::make();
  test_connection connection(database.service_conninfo());
  const std::string cleanup = "SELECT cleanup_expired_sessions(gen_random_uuid(), now(), '{}', '{}')";
  CHECK(connection.sqlstate_of(cleanup) == "42501");
  connection.exec("SET ROLE colloquy_service");
  CHECK(connection.sqlstate_of(cleanup) == "42501");
  connection.exec("SET ROLE colloquy_system");
  CHECK(connection.value(cleanup) == "0");
}
