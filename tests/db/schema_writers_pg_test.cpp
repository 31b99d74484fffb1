// The fence that every batch of a writer passes, as the writer uses it: pipelined, without BEGIN.
#include "tests/support/catch.hpp"
#include "tests/support/test_cluster.hpp"

#include <future>
#include <optional>
#include <thread>

using namespace colloquy;
using namespace colloquy::test;

namespace {

const std::string fence = "CQ001";
const std::string process = "'00000000-0000-7000-8000-000000000077'";

std::string claim(int expected_epoch) {
  return "SELECT epoch || '/' || seq || '/' || backend_pid FROM claim_writer(" + process + ", 0::smallint, " +
         std::to_string(expected_epoch) + ")";
}

std::string begin_batch(int epoch, int seq, const std::string& tenants = "a") {
  return "SELECT begin_batch(" + process + ", 0::smallint, " + std::to_string(epoch) + ", " + std::to_string(seq) +
         ", '" + tenants + "')";
}

std::string insert_event(const std::string& tenant, int offset) {
  return "INSERT INTO events (tenant_id, log_id, \"offset\", created_at, kind, data, messages) VALUES ('" + tenant +
         "', '00000000-0000-7000-8000-000000000001', " + std::to_string(offset) + ", now(), 'custom', '{}', 0)";
}

test_connection service_of(const test_database& database) {
  test_connection connection(database.service_conninfo());
  connection.exec("SET ROLE colloquy_service");
  return connection;
}

std::string writer_row(const test_database& database) {
  return database.value("SELECT epoch || '/' || seq || '/' || backend_pid FROM writers");
}

std::string described(const PGresult* result) {
  switch (PQresultStatus(result)) {
  case PGRES_TUPLES_OK:
    return PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "no row";
  case PGRES_COMMAND_OK:
    return "done";
  case PGRES_PIPELINE_ABORTED:
    return "aborted";
  default:
    return PQresultErrorField(result, PG_DIAG_SQLSTATE) ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : "lost";
  }
}

// Statements between two syncs: PostgreSQL's implicit transaction. For each the first value, "done", "aborted" or the
// SQLSTATE. Ends with the state of the transaction as the sync reports it.
std::vector<std::string> run_segment(test_connection& connection, const std::vector<std::string>& statements) {
  auto* raw = connection.raw();
  REQUIRE(PQenterPipelineMode(raw) == 1);
  for (const auto& statement : statements)
    REQUIRE(PQsendQueryParams(raw, statement.c_str(), 0, nullptr, nullptr, nullptr, nullptr, 0) == 1);
  REQUIRE(PQpipelineSync(raw) == 1);
  std::vector<std::string> out;
  for (std::size_t i = 0; i < statements.size(); ++i) {
    out.push_back(described(db::result_ptr(PQgetResult(raw)).get()));
    REQUIRE(db::result_ptr(PQgetResult(raw)) == nullptr);
  }
  REQUIRE(PQresultStatus(db::result_ptr(PQgetResult(raw)).get()) == PGRES_PIPELINE_SYNC);
  CHECK(PQtransactionStatus(raw) == PQTRANS_IDLE);
  REQUIRE(PQexitPipelineMode(raw) == 1);
  return out;
}

using answers = std::vector<std::string>;

const std::string tenants_set = "SELECT coalesce(current_setting('colloquy.tenants', true), '')";

} // namespace

TEST_CASE("claiming a writer makes its row, then raises its epoch for whoever knew the last one", "[writers]") {
  auto database = test_database::make();
  auto one = service_of(database);
  auto two = service_of(database);
  const auto pid_one = std::to_string(one.backend_pid());
  const auto pid_two = std::to_string(two.backend_pid());
  CHECK(one.sqlstate_of(claim(1)) == fence);
  CHECK(one.value(claim(0)) == "1/0/" + pid_one);
  one.exec(begin_batch(1, 1));
  CHECK(two.value(claim(1)) == "2/1/" + pid_two);
  CHECK(writer_row(database) == "2/1/" + pid_two);
  CHECK(one.sqlstate_of(claim(1)) == fence);
  CHECK(one.sqlstate_of(claim(3)) == fence);
  CHECK(two.sqlstate_of(claim(0)) != "");
  CHECK(writer_row(database) == "2/1/" + pid_two);
}

TEST_CASE("a batch advances its writer only from the batch before it in the same epoch", "[writers]") {
  auto database = test_database::make();
  auto service = service_of(database);
  CHECK(service.sqlstate_of(begin_batch(1, 1)) == fence);
  service.exec(claim(0));
  CHECK(service.sqlstate_of(begin_batch(1, 2)) == fence);
  CHECK(service.sqlstate_of(begin_batch(0, 1)) == fence);
  CHECK(service.sqlstate_of(begin_batch(2, 1)) == fence);
  CHECK(service.sqlstate_of(begin_batch(1, 1)) == "");
  CHECK(service.sqlstate_of(begin_batch(1, 1)) == fence);
  CHECK(service.sqlstate_of(begin_batch(1, 3)) == fence);
  CHECK(service.sqlstate_of(begin_batch(1, 2)) == "");
  CHECK(database.value("SELECT seq FROM writers") == "2");
}

TEST_CASE("the fence is closed to the system role and to the login", "[writers]") {
  auto database = test_database::make();
  auto service = service_of(database);
  service.exec(claim(0));
  test_connection other(database.service_conninfo());
  CHECK(other.sqlstate_of(begin_batch(1, 1)) == "42501");
  other.exec("SET ROLE colloquy_system");
  CHECK(other.sqlstate_of(begin_batch(1, 1)) == "42501");
  CHECK(other.sqlstate_of(claim(1)) == "42501");
}

TEST_CASE("a pipelined batch's tenants hold for the statements up to its sync and are gone after", "[writers]") {
  auto database = test_database::make();
  auto service = service_of(database);
  service.exec(claim(0));
  CHECK(run_segment(service, {begin_batch(1, 1, "a,b"), insert_event("a", 0), insert_event("b", 0), tenants_set,
                              "SELECT count(*) FROM events"}) == answers{"", "done", "done", "a,b", "2"});
  CHECK(run_segment(service, {tenants_set}) == answers{""});
  CHECK(run_segment(service, {"SELECT count(*) FROM events"}) == answers{"0"});
  CHECK(run_segment(service, {insert_event("a", 1)}) == answers{"42501"});
  CHECK(database.value("SELECT count(*) FROM events") == "2");
}

TEST_CASE("two batches in flight keep their tenants apart", "[writers]") {
  auto database = test_database::make();
  auto service = service_of(database);
  service.exec(claim(0));
  auto* raw = service.raw();
  REQUIRE(PQenterPipelineMode(raw) == 1);
  const std::vector<std::vector<std::string>> segments{{begin_batch(1, 1, "a"), insert_event("a", 0), tenants_set},
                                                       {begin_batch(1, 2, "b"), insert_event("a", 1), tenants_set},
                                                       {begin_batch(1, 2, "b"), insert_event("b", 0), tenants_set}};
  for (const auto& segment : segments) {
    for (const auto& statement : segment)
      REQUIRE(PQsendQueryParams(raw, statement.c_str(), 0, nullptr, nullptr, nullptr, nullptr, 0) == 1);
    REQUIRE(PQpipelineSync(raw) == 1);
  }
  answers all;
  for (int syncs = 0; syncs < 3;) {
    const db::result_ptr result(PQgetResult(raw));
    if (PQresultStatus(result.get()) == PGRES_PIPELINE_SYNC)
      ++syncs;
    else if (result)
      all.push_back(described(result.get()));
  }
  // The second is refused for its data; the same number is then free for the third.
  CHECK(all == answers{"", "done", "a", "", "42501", "aborted", "", "done", "b"});
  CHECK(database.value("SELECT seq FROM writers") == "2");
  CHECK(database.value("SELECT string_agg(tenant_id, ',' ORDER BY tenant_id) FROM events") == "a,b");
}

TEST_CASE("a batch of an epoch that was taken over undoes all of its segment", "[writers]") {
  auto database = test_database::make();
  auto old_owner = service_of(database);
  auto new_owner = service_of(database);
  old_owner.exec(claim(0));
  CHECK(run_segment(old_owner, {begin_batch(1, 1), insert_event("a", 0)}) == answers{"", "done"});
  new_owner.exec(claim(1));
  // On the surviving connection, with a statement before the fence and one after it.
  CHECK(run_segment(old_owner, {"SELECT set_config('colloquy.tenants', 'a', true)", insert_event("a", 1),
                                begin_batch(1, 2), insert_event("a", 2)}) == answers{"a", "done", fence, "aborted"});
  CHECK(database.value("SELECT count(*) FROM events") == "1");
  CHECK(run_segment(new_owner, {begin_batch(2, 2), insert_event("a", 1)}) == answers{"", "done"});
  CHECK(database.value("SELECT epoch || '/' || seq FROM writers") == "2/2");
}

TEST_CASE("a batch that fails for its data does not advance its writer", "[writers]") {
  auto database = test_database::make();
  auto service = service_of(database);
  service.exec(claim(0));
  CHECK(run_segment(service, {begin_batch(1, 1), insert_event("a", 0), insert_event("a", 0)}) ==
        answers{"", "done", "23505"});
  CHECK(database.value("SELECT seq FROM writers") == "0");
  CHECK(run_segment(service, {begin_batch(1, 1), insert_event("a", 0)}) == answers{"", "done"});
}

TEST_CASE("taking over waits for the batch that is under way and then knows of it", "[writers]") {
  auto database = test_database::make();
  auto old_owner = service_of(database);
  auto new_owner = service_of(database);
  old_owner.exec(claim(0));
  old_owner.exec("BEGIN; " + begin_batch(1, 1));
  auto taking = std::async(std::launch::async, [&] { return new_owner.value(claim(1)); });
  const auto waits =
      "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = " + std::to_string(new_owner.backend_pid());
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  bool waited = false;
  while (!waited && std::chrono::steady_clock::now() < deadline)
    waited = database.value(waits) == "t";
  old_owner.exec("COMMIT");
  CHECK(waited);
  CHECK(taking.get() == "2/1/" + std::to_string(new_owner.backend_pid()));
}
