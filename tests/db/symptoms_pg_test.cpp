// What real servers, PgBouncer and libpq say is what the table of symptoms expects them to say; and what an endpoint is
// filled in with is what they need.
#include "db/endpoint.hpp"
#include "db/symptoms.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/free_port.hpp"
#include "tests/support/own_cluster.hpp"
#include "tests/support/pgbouncer.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/test_cluster.hpp"

#include <csignal>
#include <memory>
#include <vector>

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

/// The symptom of what libpq says to a connection string; "" if it connects.
std::string refused_as(const std::string& conninfo) {
  const db::connection_ptr connection(PQconnectdb(("connect_timeout=30 " + conninfo).c_str()));
  if (PQstatus(connection.get()) == CONNECTION_OK)
    return "";
  const std::string message = PQerrorMessage(connection.get());
  UNSCOPED_INFO(message);
  const auto* known = db::find_symptom("", message);
  return known ? std::string(known->id) : "unknown: " + message;
}

/// The symptom of the last of some statements, with its SQLSTATE; one that ends the connection may come without.
std::string fails_as(test_connection& connection, const std::vector<std::string>& statements) {
  for (const auto& sql : statements) {
    const db::result_ptr result(PQexec(connection.raw(), sql.c_str()));
    if (PQresultStatus(result.get()) != PGRES_FATAL_ERROR)
      continue;
    const char* sqlstate = PQresultErrorField(result.get(), PG_DIAG_SQLSTATE);
    // The last words before a connection ends are the connection's alone.
    const std::string message = sqlstate ? PQresultErrorMessage(result.get()) : PQerrorMessage(connection.raw());
    UNSCOPED_INFO(message);
    const auto* known = db::find_symptom(sqlstate ? sqlstate : "", message);
    return known ? std::string(known->id) : "unknown: " + message;
  }
  return "";
}

own_cluster plain_cluster(std::vector<std::pair<std::string, std::string>> settings = {}) {
  own_cluster_options options;
  options.settings = std::move(settings);
  options.migrated = false;
  return own_cluster(std::move(options));
}

std::string prepared(db::endpoint_options options) {
  auto made = db::prepare_endpoint(options);
  REQUIRE(made);
  return made->conninfo;
}

} // namespace

TEST_CASE("a server's refusals at the door are known") {
  auto cluster = plain_cluster({{"max_connections", "6"}, {"superuser_reserved_connections", "2"}});
  CHECK(refused_as(cluster.conninfo_with("colloquy", "wrong")) == "password-wrong");
  CHECK(refused_as(cluster.conninfo("colloquy", "dbname=nowhere")) == "database-missing");
  CHECK(refused_as(cluster.superuser_conninfo("template0")) == "database-closed");
  CHECK(refused_as("host=" + cluster.socket_dir() + " dbname=colloquy user=postgres password='' port=1") ==
        "socket-missing");
  cluster.value("ALTER ROLE colloquy_owner CONNECTION LIMIT 0");
  CHECK(refused_as(cluster.conninfo("colloquy_owner")) == "role-limit");
  cluster.value("REVOKE CONNECT ON DATABASE colloquy FROM public, colloquy");
  CHECK(refused_as(cluster.conninfo()) == "connect-right");
  cluster.value("GRANT CONNECT ON DATABASE colloquy TO colloquy");

  std::vector<std::unique_ptr<test_connection>> held;
  for (int i = 0; i < 4; ++i)
    held.push_back(std::make_unique<test_connection>(cluster.conninfo()));
  CHECK(refused_as(cluster.conninfo()) == "slots-reserved");
  cluster.stop();
  CHECK(refused_as(cluster.conninfo()) == "connection-refused");
}

TEST_CASE("what is wrong with TLS is known, and a prepared endpoint gets in") {
  const temp_dir folder;
  const certificate_authority authority;
  const auto trusted = authority.write_to(folder / "trusted.crt");
  own_cluster_options options;
  options.tls = authority.issue();
  options.migrated = false;
  own_cluster cluster(std::move(options));
  const auto strict = cluster.conninfo("colloquy", "sslmode=verify-full sslrootcert=" + trusted);

  CHECK(refused_as(cluster.conninfo("colloquy", "sslmode=disable")) == "no-encryption");
  // libpq comes a second time, without TLS, and appends that refusal.
  CHECK(refused_as(cluster.conninfo_with("colloquy", "wrong", "sslmode=prefer")) == "password-wrong");
  CHECK(refused_as(strict + " sslrootcert=" + (folder / "none.crt").string()) == "tls-root-missing");
  const auto other = certificate_authority("somebody else").write_to(folder / "other.crt");
  CHECK(refused_as(strict + " sslrootcert=" + other) == "tls-unknown-authority");

  // The name is not local, so it is verified, wherever the address leads.
  const auto named = cluster.conninfo("colloquy", "host=db.example.com hostaddr=127.0.0.1");
  CHECK(refused_as(prepared({.conninfo = named, .ssl_root_cert = trusted})) == "tls-wrong-name");
  certificate_request request;
  request.dns_names = {"db.example.com"};
  cluster.replace_certificate(authority.issue(request));
  CHECK(refused_as(prepared({.conninfo = named, .ssl_root_cert = trusted})) == "");
  const auto system = refused_as(prepared({.conninfo = named, .ssl_root_cert = "system"}));
  CHECK((system == "tls-unknown-authority" || system == "tls-root-missing")); // not every machine trusts somebody
  request.ends_in = -1h;
  cluster.replace_certificate(authority.issue(request));
  const auto expired = refused_as(prepared({.conninfo = named, .ssl_root_cert = trusted}));
  CHECK((expired == "tls-unknown-authority" || expired == "tls-expired")); // older libpq does not say why
}

TEST_CASE("a server without TLS is known") {
  auto cluster = plain_cluster();
  CHECK(refused_as(cluster.conninfo("colloquy", "sslmode=require")) == "tls-not-offered");
}

TEST_CASE("what ends statements and sessions is known") {
  auto cluster = plain_cluster();
  test_connection one(cluster.conninfo());
  CHECK(fails_as(one, {"SET statement_timeout = 1", "SELECT pg_sleep(100)"}) == "statement-timeout");
  CHECK(fails_as(one, {"RESET statement_timeout", "SELECT * FROM nowhere"}) == "table-missing");
  CHECK(fails_as(one, {"BEGIN", "SELECT 1/0"}) == "bad-value");
  CHECK(fails_as(one, {"SELECT 1"}) == "aborted-transaction");
  CHECK(fails_as(one, {"ROLLBACK", "EXECUTE nothing"}) == "prepared-statement-lost");
  CHECK(fails_as(one, {"PREPARE twice AS SELECT 1", "PREPARE twice AS SELECT 1"}) == "prepared-statement-exists");
  test_connection super(cluster.superuser_conninfo());
  CHECK(fails_as(super, {"CREATE TEMP TABLE t(a int)", "PREPARE planned AS SELECT * FROM t", "EXECUTE planned",
                         "ALTER TABLE t ADD b int", "EXECUTE planned"}) == "cached-plan");
  CHECK(fails_as(one, {"BEGIN READ ONLY", "CREATE TABLE never(a int)"}) == "read-only");
  CHECK(fails_as(one, {"ROLLBACK", "SELECT pg_read_file('/etc/passwd')"}) == "rights");

  test_connection other(cluster.conninfo());
  other.exec("BEGIN");
  other.exec("SELECT pg_advisory_xact_lock(1)");
  CHECK(fails_as(one, {"SET lock_timeout = 1", "SELECT pg_advisory_lock(1)"}) == "lock-timeout");
  cluster.value("SELECT pg_terminate_backend(" + std::to_string(other.backend_pid()) + ", 30000)");
  CHECK(fails_as(other, {"SELECT 1"}) == "administrator-ended-it");
  cluster.stop(stop_kind::killed);
  CHECK(fails_as(one, {"SELECT 1"}) == "connection-closed");
}

TEST_CASE("PgBouncer's refusals are known") {
  auto cluster = plain_cluster();
  auto options = in_front_of(cluster, "transaction");
  options.default_pool_size = 1;
  options.query_wait_timeout_s = 1;
  options.max_client_conn = 2;
  pgbouncer pooler(std::move(options));
  CHECK(refused_as(pooler.conninfo("colloquy", "password=wrong")) == "password-wrong");
  CHECK(refused_as(pooler.conninfo("colloquy", "dbname=nowhere")) == "pgbouncer-no-database");
  CHECK(refused_as(pooler.conninfo("colloquy", "options='-c work_mem=1MB'")) == "pgbouncer-startup-option");
  test_connection one(pooler.conninfo());
  test_connection other(pooler.conninfo());
  CHECK(refused_as(pooler.conninfo()) == "pgbouncer-clients-full");
  one.exec("BEGIN");
  one.exec("SELECT 1");
  CHECK(fails_as(other, {"SELECT 1"}) == "pgbouncer-wait-timeout");
  CHECK(db::guess_kind("127.0.0.1", "colloquy", PQbackendPID(one.raw()),
                       std::stoi(one.value("SELECT pg_backend_pid()"))) == db::endpoint_kind::pgbouncer);
  cluster.signal_backend(std::stoi(one.value("SELECT pg_backend_pid()")), SIGKILL);
  CHECK(fails_as(one, {"SELECT 1"}) == "pgbouncer-server-crashed");
}

TEST_CASE("PgBouncer in statement mode is known") {
  auto cluster = plain_cluster();
  pgbouncer pooler(in_front_of(cluster, "statement"));
  test_connection one(pooler.conninfo());
  CHECK(fails_as(one, {"BEGIN"}) == "pgbouncer-statement-mode");
}

TEST_CASE("what is not there, or not PostgreSQL, is known") {
  CHECK(refused_as("host=127.0.0.1 port=" + std::to_string(free_port())) == "connection-refused");
  CHECK(refused_as("host=no-such-host.invalid") == "host-not-found");
  CHECK(refused_as("host=/nowhere") == "socket-missing");
}
