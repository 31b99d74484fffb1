// The servers and the faults that the tests of connections and of the pool are made of: each does what it says, seen by
// plain libpq and by raw sockets.
#include "tests/support/catch.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/own_cluster.hpp"
#include "tests/support/pgbouncer.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/test_cluster.hpp"

#include <csignal>
#include <memory>

using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

/// What libpq says to a connection string; "" if it connects.
std::string refusal(const std::string& conninfo) {
  const colloquy::db::connection_ptr c(PQconnectdb(("connect_timeout=30 " + conninfo).c_str()));
  return PQstatus(c.get()) == CONNECTION_OK ? "" : PQerrorMessage(c.get());
}

std::string ask(const std::string& conninfo, const std::string& sql) {
  return test_connection("connect_timeout=30 " + conninfo).value(sql);
}

/// libpq leaves out the SQLSTATE of what the server said before it closed.
std::string why_it_broke(test_connection& connection) {
  try {
    connection.exec("SELECT 1");
    return "";
  } catch (const sql_error& e) {
    return e.what();
  }
}

own_cluster plain_cluster(std::vector<std::pair<std::string, std::string>> settings = {}) {
  own_cluster_options options;
  options.settings = std::move(settings);
  options.migrated = false;
  return own_cluster(std::move(options));
}

} // namespace

TEST_CASE("a cluster of a test's own has its roles, its schema, and passwords of its own") {
  own_cluster cluster;
  CHECK(ask(cluster.conninfo(), "SELECT current_user || ' of ' || current_database()") == "colloquy of colloquy");
  CHECK(ask(cluster.conninfo("colloquy_owner"), "SELECT count(*) > 0 FROM schema_migrations") == "t");
  CHECK(cluster.value("SELECT rolpassword LIKE 'SCRAM-SHA-256$%' FROM pg_authid WHERE rolname = 'colloquy'") == "t");
  CHECK_THAT(refusal(cluster.conninfo_with("colloquy", "wrong")),
             ContainsSubstring("password authentication failed for user \"colloquy\""));

  cluster.set_password("colloquy", "it's \\ odd");
  CHECK(ask(cluster.conninfo(), "SELECT 1") == "1");
}

TEST_CASE("a cluster's certificate is believed only by who should") {
  const temp_dir folder;
  const certificate_authority authority;
  const auto trusted = authority.write_to(folder / "trusted.crt");
  own_cluster_options options;
  options.tls = authority.issue();
  options.migrated = false;
  own_cluster cluster(std::move(options));
  const auto strict =
      cluster.conninfo("colloquy", "sslmode=verify-full channel_binding=require sslrootcert=" + trusted);

  CHECK(ask(strict, "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == "TLSv1.3");
  CHECK_THAT(refusal(cluster.conninfo("colloquy", "sslmode=disable")), ContainsSubstring("pg_hba.conf rejects"));

  SECTION("another authority") {
    const auto other = certificate_authority("somebody else").write_to(folder / "other.crt");
    CHECK_THAT(refusal(strict + " sslrootcert=" + other), ContainsSubstring("certificate verify failed"));
  }
  SECTION("no file of authorities") {
    CHECK_THAT(refusal(strict + " sslrootcert=" + (folder / "none.crt").string()), ContainsSubstring("does not exist"));
  }
  SECTION("another name") {
    certificate_request request;
    request.common_name = "elsewhere.example";
    request.dns_names = {"elsewhere.example"};
    request.addresses.clear();
    cluster.replace_certificate(authority.issue(request));
    CHECK_THAT(refusal(strict), ContainsSubstring("does not match host name \"127.0.0.1\""));
    CHECK(refusal(strict + " sslmode=verify-ca").empty());
  }
  SECTION("expired, or not valid yet") {
    certificate_request request;
    request.ends_in = -1h;
    cluster.replace_certificate(authority.issue(request));
    CHECK_THAT(refusal(strict), ContainsSubstring("certificate verify failed"));
    CHECK(refusal(cluster.conninfo("colloquy", "sslmode=require sslrootcert=/nowhere")).empty());
    request.starts_in = 1h;
    request.ends_in = 2h;
    cluster.replace_certificate(authority.issue(request));
    CHECK_THAT(refusal(strict), ContainsSubstring("certificate verify failed"));
    cluster.replace_certificate(authority.issue());
    CHECK(refusal(strict).empty());
  }
}

TEST_CASE("a cluster of a test's own stops, dies and comes back where it was") {
  auto cluster = plain_cluster();
  const auto port = cluster.port();
  for (const auto& [how, words] : {std::pair(stop_kind::orderly, "due to administrator command"),
                                   std::pair(stop_kind::immediate, "closed the connection unexpectedly"),
                                   std::pair(stop_kind::killed, "closed the connection unexpectedly")}) {
    test_connection session(cluster.conninfo());
    const auto former = cluster.pid();
    cluster.stop(how);
    CHECK_FALSE(cluster.running());
    CHECK_THAT(why_it_broke(session), ContainsSubstring(words));
    CHECK_THAT(refusal(cluster.conninfo()), ContainsSubstring("Connection refused"));
    cluster.start();
    CHECK(cluster.port() == port);
    CHECK(cluster.pid() != former);
    CHECK(ask(cluster.conninfo(), "SELECT 1") == "1");
  }
}

TEST_CASE("a cluster of a test's own is full at its limit, but not for the superuser") {
  auto cluster = plain_cluster({{"max_connections", "6"}, {"superuser_reserved_connections", "2"}});
  std::vector<std::unique_ptr<test_connection>> held;
  std::string refused;
  while (refused.empty() && held.size() < 10) {
    try {
      held.push_back(std::make_unique<test_connection>(cluster.conninfo()));
    } catch (const sql_error& e) {
      refused = e.what();
    }
  }
  CHECK(held.size() == 4);
  CHECK_THAT(refused, ContainsSubstring("remaining connection slots are reserved"));
  CHECK(cluster.value("SELECT 1") == "1");

  cluster.restart(stop_kind::killed, {{"max_connections", "9"}});
  CHECK(cluster.value("SHOW max_connections") == "9");
}

TEST_CASE("a frozen backend is silent until it is thawed, and a cluster with one can be stopped") {
  auto cluster = plain_cluster();
  test_connection session(cluster.conninfo());
  const auto readable = [&](int milliseconds) {
    pollfd entry{PQsocket(session.raw()), POLLIN, 0};
    return ::poll(&entry, 1, milliseconds) == 1;
  };
  cluster.signal_backend(session.backend_pid(), SIGSTOP);
  REQUIRE(PQsendQuery(session.raw(), "SELECT 1") == 1);
  CHECK_FALSE(readable(100));
  cluster.signal_backend(session.backend_pid(), SIGCONT);
  CHECK(readable(20000));

  test_connection bystander(cluster.conninfo());
  cluster.signal_backend(session.backend_pid(), SIGKILL);
  CHECK(eventually([&] { return !why_it_broke(bystander).empty(); }));
  CHECK(eventually([&] { return refusal(cluster.conninfo()).empty(); }));

  cluster.signal_all(SIGSTOP);
  CHECK_THAT(refusal(cluster.conninfo("colloquy", "connect_timeout=2")), ContainsSubstring("timeout expired"));
  cluster.stop();
  CHECK_FALSE(cluster.running());
}

TEST_CASE("pgbouncer in session mode gives each client a backend of its own") {
  auto cluster = plain_cluster();
  pgbouncer pooler(in_front_of(cluster));
  test_connection one(pooler.conninfo());
  test_connection other(pooler.conninfo());
  CHECK(one.value("SELECT 1") == "1");
  CHECK(one.value("SELECT pg_backend_pid()") != other.value("SELECT pg_backend_pid()"));
  CHECK_THAT(refusal(pooler.conninfo("colloquy", "password=wrong")), ContainsSubstring("authentication failed"));
}

TEST_CASE("pgbouncer in transaction mode lets two clients share a backend") {
  auto cluster = plain_cluster();
  auto options = in_front_of(cluster, "transaction");
  options.default_pool_size = 1;
  options.query_wait_timeout_s = 1;
  pgbouncer pooler(std::move(options));
  test_connection one(pooler.conninfo());
  test_connection other(pooler.conninfo());
  CHECK(one.value("SELECT pg_backend_pid()") == other.value("SELECT pg_backend_pid()"));

  one.exec("BEGIN");
  one.exec("SELECT 1");
  CHECK_THAT(why_it_broke(other), ContainsSubstring("query_wait_timeout"));
}

TEST_CASE("pgbouncer takes orders, ends and comes back, and speaks TLS") {
  const temp_dir folder;
  const certificate_authority authority;
  auto cluster = plain_cluster();
  auto options = in_front_of(cluster);
  options.tls = authority.issue();
  pgbouncer pooler(std::move(options));
  const auto strict =
      pooler.conninfo("colloquy", "sslmode=verify-full sslrootcert=" + authority.write_to(folder / "ca.crt"));
  test_connection session(strict);
  CHECK(session.value("SELECT 1") == "1");
  CHECK_THAT(refusal(pooler.conninfo("colloquy", "sslmode=disable")), ContainsSubstring("SSL required"));
  CHECK_FALSE(pooler.admin("SHOW POOLS").empty());

  pooler.admin("KILL colloquy");
  CHECK_FALSE(session.sqlstate_of("SELECT 1").empty());
  pooler.admin("RESUME colloquy");
  CHECK(ask(strict, "SELECT 1") == "1");

  const auto port = pooler.port();
  pooler.stop();
  CHECK_THAT(refusal(strict), ContainsSubstring("Connection refused"));
  pooler.start();
  CHECK(pooler.port() == port);
  CHECK(ask(strict, "SELECT 1") == "1");
}
