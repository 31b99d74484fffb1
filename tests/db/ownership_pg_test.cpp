// Which process owns which sessions, as the database decides it: registering, renewing, taking over, giving up.
#include "db/ownership_queries.hpp"
#include "tests/db/session_store.hpp"

#include <future>

using namespace colloquy;
using namespace colloquy::db;
using namespace colloquy::test;

namespace {

connection_target own_functions(const test_database& database);

/// A process with a connection of its own.
class member {
public:
  explicit member(const test_database& database)
    : connection_(own_functions(database)) {
    REQUIRE(connection_.make_ready());
  }
  unit_outcome run(unit work) {
    connection_.submit(++tag_, std::move(work.calls));
    return connection_.outcome(tag_);
  }
  void enter(process_place place = {"machine", 1, 2}) { REQUIRE_FALSE(run(register_process(id, place)).failure); }
  taken_shards take(const std::vector<process_id>& dead = {}) {
    const auto taken = decode_taken(run(take_shards(id, dead)));
    if (!taken)
      FAIL(taken.failure().message);
    return *taken;
  }
  std::optional<shard_set> renew() {
    const auto owned = decode_renewal(run(renew_process(id)));
    REQUIRE(owned);
    return *owned;
  }
  driven_connection& connection() { return connection_; }
  int backend_pid() { return connection_.link().backend_pid(); }

  process_id id = process_id::make();

private:
  driven_connection connection_;
  std::uint64_t tag_ = 0;
};

/// As if the process had not renewed for so long.
void let_pass(const test_database& database, const process_id& process, const std::string& time) {
  database.exec("UPDATE processes SET renewed_at = renewed_at - interval '" + time + "' WHERE process_id = '" +
                process.to_string() + "'");
}

/// The server of the tests may have started a moment ago, which counts as a renewal: from now on, for connections that
/// look for functions here first, it has started then.
void set_server_start(const test_database& database, const std::string& time) {
  database.exec("CREATE OR REPLACE FUNCTION public.pg_postmaster_start_time() RETURNS timestamptz LANGUAGE sql AS"
                " $$ SELECT (" +
                time + ")::timestamptz $$");
}

constexpr const char* own_functions_first = "public, pg_catalog, pg_temp";

connection_target own_functions(const test_database& database) {
  auto target = target_of(database);
  for (auto& [name, value] : target.settings)
    if (name == "search_path")
      value = own_functions_first;
  return target;
}

test_database database_of_old_server() {
  auto database = test_database::make();
  set_server_start(database, "'-infinity'");
  return database;
}

bool waits_for_lock(const test_database& database, int pid) {
  return database.value("SELECT coalesce(wait_event_type, '') FROM pg_stat_activity WHERE pid = " +
                        std::to_string(pid)) == "Lock";
}

void await_lock(const test_database& database, int pid) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{20};
  while (!waits_for_lock(database, pid) && std::chrono::steady_clock::now() < deadline) {
  }
  CHECK(waits_for_lock(database, pid));
}

const std::string fence = "CQ001";

} // namespace

TEST_CASE("the database and the program put a session into the same shard") {
  const auto database = test_database::make();
  for (int i = 0; i < 50; ++i) {
    const auto id = session_id::make();
    CHECK(database.value("SELECT shard_of('" + id.to_string() + "')") == std::to_string(shard_of(id)));
  }
  CHECK(database.value("SELECT count(*) || ' ' || min(shard) || ' ' || max(shard) FROM shards") == "1024 0 1023");
}

TEST_CASE("the first process takes everything, a second nothing while the first renews") {
  const auto database = database_of_old_server();
  member one(database), two(database);
  one.enter();
  const auto taken = one.take();
  CHECK(taken.taken.all());
  CHECK_FALSE(taken.previous.at(0));
  CHECK(one.renew()->all());
  two.enter();
  CHECK(two.take().taken.none());
  CHECK(two.renew()->none());
  let_pass(database, one.id, "9 s");
  CHECK(two.take().taken.none());
  CHECK(one.renew()->all());
  CHECK(one.take().taken.none());
}

TEST_CASE("a process that did not renew for ten seconds is lost, and knows it when it asks") {
  const auto database = database_of_old_server();
  member one(database), two(database);
  one.enter();
  two.enter();
  one.take();
  const auto claim = decode_claim(one.run(claim_writer(one.id, 0, 0)));
  REQUIRE(claim);
  let_pass(database, one.id, "10.5 s");
  const auto taken = two.take();
  CHECK(taken.taken.all());
  CHECK(taken.previous.at(1023) == one.id);
  CHECK(database.value("SELECT epoch FROM writers") == "2");
  CHECK(database.value("SELECT lost_at IS NOT NULL FROM processes WHERE process_id = '" + one.id.to_string() + "'") ==
        "t");
  // Its writer's backend was ended, so it asks by another one.
  member again(database);
  again.id = one.id;
  CHECK_FALSE(again.renew());
  for (const auto& refused :
       {again.run(claim_writer(one.id, 0, 2)), again.run(claim_writer(one.id, 1, 0)),
        again.run(encode_batch({one.id, 0, 1, 1}, {}).statements), again.run(take_shards(one.id, {two.id}))}) {
    REQUIRE(refused.failure);
    CHECK(refused.failure->sqlstate == fence);
  }
  CHECK(two.renew()->all());
}

TEST_CASE("a process that is known to be dead is not waited for") {
  const auto database = test_database::make();
  member one(database), two(database);
  one.enter({"here", 77, 12345});
  one.take();
  two.enter();
  const auto others = decode_processes(two.run(read_processes(two.id)));
  REQUIRE(others);
  REQUIRE(others->size() == 1);
  CHECK(others->at(0).process == one.id);
  CHECK(others->at(0).place.machine == "here");
  CHECK(others->at(0).place.pid == 77);
  CHECK(others->at(0).place.started_ticks == 12345);
  CHECK(two.take({two.id}).taken.none()); // itself it cannot mean
  CHECK(two.take({one.id, process_id::make()}).taken.all());
  CHECK_FALSE(one.renew());
  CHECK(decode_processes(two.run(read_processes(two.id)))->empty());
}

TEST_CASE("while the server was down nobody's time ran") {
  const auto database = test_database::make();
  member one(database), two(database);
  one.enter();
  one.take();
  two.enter();
  let_pass(database, one.id, "1 hour");
  set_server_start(database, "clock_timestamp() - interval '9 s'");
  CHECK(two.take().taken.none());
  set_server_start(database, "clock_timestamp() - interval '11 s'");
  CHECK(two.take().taken.all());
}

TEST_CASE("taking over ends the backend that holds a batch, before it raises the epoch") {
  const auto database = test_database::make();
  member one(database), two(database), spare(database);
  one.enter();
  two.enter();
  one.take();
  REQUIRE(decode_claim(one.run(claim_writer(one.id, 0, 0))));
  // A batch that has passed the fence and hangs; the role is as the product has it.
  test_connection admin(database.superuser_conninfo());
  const auto pid = one.backend_pid();
  static constexpr oid types[] = {oids::uuid};
  static constexpr statement begin{"open", "BEGIN", {}};
  static constexpr statement hold{"hold", "SELECT begin_batch($1, 0::smallint, 1, 1, 'a')", types};
  one.run({{{&begin, {}}}});
  one.run({{{&hold, {encode_uuid(one.id.bytes)}}}});
  CHECK(two.take({one.id}).taken.all());
  const auto gone = "SELECT count(*) FROM pg_stat_activity WHERE pid = " + std::to_string(pid);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{20};
  while (admin.value(gone) != "0" && std::chrono::steady_clock::now() < deadline) {
  }
  CHECK(admin.value(gone) == "0");
  CHECK(admin.value("SELECT count(*) FROM pg_stat_activity WHERE pid = " + std::to_string(spare.backend_pid())) == "1");
  CHECK(database.value("SELECT epoch || '/' || seq FROM writers") == "2/0");
}

TEST_CASE("giving up frees the shards at once and keeps that the end was a clean one") {
  const auto database = test_database::make();
  member one(database), two(database);
  one.enter();
  one.take();
  REQUIRE(decode_claim(one.run(claim_writer(one.id, 0, 0))));
  REQUIRE_FALSE(one.run(end_process(one.id)).failure);
  CHECK(database.value("SELECT count(*) FROM writers") == "0");
  CHECK_FALSE(one.renew());
  CHECK(one.run(claim_writer(one.id, 0, 0)).failure->sqlstate == fence);
  two.enter();
  const auto taken = two.take();
  CHECK(taken.taken.all());
  CHECK(taken.previous.at(5) == one.id);
  CHECK(database.value("SELECT count(*) FROM processes WHERE ended_at IS NOT NULL AND lost_at IS NULL") == "1");
  REQUIRE_FALSE(one.run(end_process(one.id)).failure); // again: nothing of the other's
  CHECK(two.renew()->all());
}

TEST_CASE("a turn's granter that ended cleanly is told from one that was lost") {
  session_store store;
  member one(store.database), two(store.database);
  one.enter();
  two.enter();
  const auto first = new_key(), second = new_key(), third = new_key();
  std::vector<session_write_ptr> writes;
  for (const auto& [key, granter] : {std::pair{first, one.id}, {second, two.id}, {third, process_id::make()}}) {
    auto write = making(key);
    write->turns = {turn_of(1)};
    write->turns[0].granted_by = granter;
    writes.push_back(write);
  }
  store.commit(writes);
  CHECK_FALSE(store.read(first).granter_ended_cleanly);
  two.take();
  one.take({two.id});
  REQUIRE_FALSE(one.run(end_process(one.id)).failure);
  CHECK(store.read(first).granter_ended_cleanly);
  CHECK_FALSE(store.read(second).granter_ended_cleanly);
  CHECK_FALSE(store.read(third).granter_ended_cleanly);
}

TEST_CASE("processes that race for free shards end with a partition of them, again and again") {
  const auto database = test_database::make();
  std::vector<std::unique_ptr<member>> members;
  for (int i = 0; i < 3; ++i) {
    members.push_back(std::make_unique<member>(database));
    members.back()->enter();
  }
  for (int round = 0; round < 15; ++round) {
    // Some of nobody, some of a process that is gone, some of the racers' own.
    database.exec("UPDATE shards SET process_id = CASE shard % 4 WHEN 0 THEN NULL WHEN 1 THEN '" +
                  process_id::make().to_string() + "'::uuid WHEN 2 THEN '" + members[0]->id.to_string() +
                  "'::uuid ELSE '" + members[1]->id.to_string() + "'::uuid END");
    std::vector<std::future<result<taken_shards>>> taking;
    for (auto& each : members)
      taking.push_back(
          std::async(std::launch::async, [&each] { return decode_taken(each->run(take_shards(each->id, {}))); }));
    shard_set all;
    std::size_t sum = 0;
    for (auto& each : taking) {
      const auto taken = each.get();
      REQUIRE(taken);
      all |= taken->taken;
      sum += taken->taken.count();
    }
    CHECK(sum == 512);
    CHECK(all.count() == 512);
    CHECK(database.value("SELECT count(*) FROM shards WHERE process_id IS NULL") == "0");
  }
}

TEST_CASE("two processes that hold each other for dead do not deadlock: one is lost") {
  const auto database = test_database::make();
  for (int round = 0; round < 10; ++round) {
    member one(database), two(database);
    one.enter();
    two.enter();
    database.exec("UPDATE shards SET process_id = CASE shard % 2 WHEN 0 THEN '" + one.id.to_string() +
                  "'::uuid ELSE '" + two.id.to_string() + "'::uuid END");
    auto taking = std::async(std::launch::async, [&] { return one.run(take_shards(one.id, {two.id})); });
    const auto second = two.run(take_shards(two.id, {one.id}));
    const auto first = taking.get();
    REQUIRE((first.failure.has_value() != second.failure.has_value()));
    CHECK((first.failure ? first : second).failure->sqlstate == fence);
    CHECK(database.value("SELECT count(DISTINCT process_id) FROM shards") == "1");
  }
}

TEST_CASE("a renewal that is under way saves its process; one that comes too late learns of the loss") {
  const auto database = database_of_old_server();
  member one(database), two(database);
  one.enter();
  two.enter();
  one.take();
  let_pass(database, one.id, "1 minute");
  SECTION("the renewal first") {
    test_connection renewing(database.superuser_conninfo());
    renewing.exec("BEGIN; UPDATE processes SET renewed_at = clock_timestamp() WHERE process_id = '" +
                  one.id.to_string() + "'");
    auto taking = std::async(std::launch::async, [&] { return two.take(); });
    await_lock(database, two.backend_pid());
    renewing.exec("COMMIT");
    CHECK(taking.get().taken.none());
    CHECK(one.renew()->all());
  }
  SECTION("the take-over first") {
    test_connection taking(database.service_conninfo());
    taking.exec(
        "BEGIN; SET LOCAL search_path = public, pg_catalog; SET LOCAL ROLE colloquy_system; SELECT begin_takeover('" +
        two.id.to_string() + "', '{}')");
    auto renewing = std::async(std::launch::async, [&] { return one.renew(); });
    await_lock(database, one.backend_pid());
    taking.exec("SELECT finish_takeover('" + two.id.to_string() + "'); COMMIT");
    CHECK_FALSE(renewing.get());
    CHECK(two.renew()->all());
  }
  SECTION("the take-over first, and a writer is claimed meanwhile") {
    test_connection taking(database.service_conninfo());
    taking.exec(
        "BEGIN; SET LOCAL search_path = public, pg_catalog; SET LOCAL ROLE colloquy_system; SELECT begin_takeover('" +
        two.id.to_string() + "', '{}')");
    auto claiming = std::async(std::launch::async, [&] { return one.run(claim_writer(one.id, 0, 0)); });
    await_lock(database, one.backend_pid());
    taking.exec("SELECT finish_takeover('" + two.id.to_string() + "'); COMMIT");
    const auto claimed = claiming.get();
    REQUIRE(claimed.failure);
    CHECK(claimed.failure->sqlstate == fence);
    CHECK(database.value("SELECT count(*) FROM writers") == "0");
  }
  SECTION("the claim first") {
    test_connection claiming(database.service_conninfo());
    claiming.exec("BEGIN; SET LOCAL ROLE colloquy_service; SELECT claim_writer('" + one.id.to_string() +
                  "', 0::smallint, 0)");
    auto taking = std::async(std::launch::async, [&] { return two.take(); });
    await_lock(database, two.backend_pid());
    claiming.exec("COMMIT");
    CHECK(taking.get().taken.all());
    CHECK(database.value("SELECT epoch FROM writers") == "2");
  }
}

TEST_CASE("a renewal waits for no claim, nor a claim for a renewal") {
  const auto database = test_database::make();
  member one(database);
  one.enter();
  one.take();
  test_connection claiming(database.service_conninfo());
  claiming.exec("BEGIN; SET LOCAL ROLE colloquy_service; SELECT claim_writer('" + one.id.to_string() +
                "', 0::smallint, 0)");
  CHECK(one.renew());
  claiming.exec("ROLLBACK");
}

TEST_CASE("ownership belongs to the service's two roles, each with its part") {
  const auto database = test_database::make();
  test_connection connection(database.service_conninfo());
  const std::string denied = "42501";
  const std::string any = "gen_random_uuid()";
  const std::vector<std::string> of_system{"SELECT begin_takeover(" + any + ", '{}')",
                                           "SELECT finish_takeover(" + any + ")", "SELECT end_process(" + any + ")"};
  for (const auto& sql : of_system)
    CHECK(connection.sqlstate_of(sql) == denied);
  connection.exec("SET ROLE colloquy_service");
  for (const auto& sql : of_system)
    CHECK(connection.sqlstate_of(sql) == denied);
  for (const std::string sql : {"UPDATE shards SET process_id = NULL", "DELETE FROM shards", "DELETE FROM processes",
                                "UPDATE processes SET lost_at = NULL", "UPDATE processes SET ended_at = now()"})
    CHECK(connection.sqlstate_of(sql) == denied);
  connection.exec("SET ROLE colloquy_system");
  const std::vector<std::string> of_service{"INSERT INTO processes (process_id, machine, pid, started_ticks) VALUES (" +
                                                any + ", '', 0, 0)",
                                            "UPDATE writers SET seq = 9", "INSERT INTO shards (shard) VALUES (1)"};
  for (const auto& sql : of_service)
    CHECK(connection.sqlstate_of(sql) == denied);
}
