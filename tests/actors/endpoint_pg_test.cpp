// The pool at real servers of a test's own, directly and behind PgBouncer: what it takes, what it refuses and how it
// says so, and how it comes back.
#include "db/symptoms.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/own_cluster.hpp"
#include "tests/support/pgbouncer.hpp"
#include "tests/support/tcp_proxy.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/test_pool.hpp"

#include <atomic>
#include <thread>

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

test_pool::options quick() {
  test_pool::options options;
  options.pool.acquire_timeout = 3s;
  options.pool.reconnect = {50ms, 300ms, 25};
  options.connection.connect_timeout = 3s;
  options.connection.unit_timeout = 10s;
  options.connection.cancel_grace = 2s;
  return options;
}

/// The pool comes up there, and says of the way what it is.
actors::pool_status check_works(test_pool& pool) {
  REQUIRE(pool.wait_for_idle(2));
  CHECK(only_value(pool.run("SELECT 'a unit'")) == "a unit");
  test_owner owner(pool);
  owner.lease();
  CHECK(only_value(owner.run("SELECT 'a lease'")) == "a lease");
  owner.end();
  REQUIRE(pool.wait_for_idle(2));
  return pool.status();
}

/// Units and leases are refused, with that reason, which the status has too.
void check_refused(test_pool& pool, const std::string& reason) {
  const auto outcome = pool.run("SELECT 1");
  REQUIRE(outcome.failure);
  CHECK_THAT(outcome.failure->message, ContainsSubstring(reason));
  test_owner owner(pool);
  const auto leased = owner.lease(actors::lease_connection{"refused"});
  REQUIRE_FALSE(leased);
  CHECK(leased.failure().code == error_code::database_unavailable);
  CHECK_THAT(leased.failure().message, ContainsSubstring(reason));
  const auto status = pool.status();
  CHECK_THAT(status.last_failure, ContainsSubstring(reason));
  CHECK(status.total == 0);
}

std::size_t count_in(const std::string& text, const std::string& what) {
  std::size_t count = 0;
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1))
    ++count;
  return count;
}

own_cluster with_tls(const certificate& its) {
  own_cluster_options options;
  options.tls = its;
  return own_cluster(std::move(options));
}

} // namespace

TEST_CASE("over TLS, verified in full, the pool works; what cannot be verified is refused by its name") {
  const temp_dir folder;
  const certificate_authority authority, stranger("A stranger");
  const auto trusted = authority.write_to(folder / "ca.crt"), unknown = stranger.write_to(folder / "stranger.crt");
  auto server = with_tls(authority.issue());
  const auto strict = [&](const std::string& root) {
    return server.conninfo("colloquy", "sslmode=verify-full sslrootcert=" + root);
  };
  {
    test_pool pool(strict(trusted), quick());
    const auto status = check_works(pool);
    CHECK(status.uses_tls);
    CHECK(status.kind == db::endpoint_kind::direct);
    CHECK(status.last_failure.empty());
    CHECK(server.value("SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = "
                       "'colloquy'") == "t");
  }
  {
    test_pool pool(server.conninfo("colloquy", "sslmode=verify-full channel_binding=require sslrootcert=" + trusted),
                   quick());
    CHECK(check_works(pool).uses_tls);
  }
  SECTION("an authority that nobody knows") {
    test_pool pool(strict(unknown), quick());
    check_refused(pool, "certificate verify failed");
    check_refused(pool, "SSL_CERT_PATH");
  }
  SECTION("another name") {
    certificate_request other;
    other.common_name = "elsewhere.example";
    other.dns_names = {"elsewhere.example"};
    other.addresses = {};
    server.replace_certificate(authority.issue(other));
    test_pool pool(strict(trusted), quick());
    check_refused(pool, "elsewhere.example");
  }
  SECTION("expired") {
    certificate_request old;
    old.ends_in = -1h;
    server.replace_certificate(authority.issue(old));
    test_pool pool(strict(trusted), quick());
    check_refused(pool, "certificate verify failed"); // libpq does not say why
    check_refused(pool, "or it has expired");
  }
  SECTION("without TLS") {
    test_pool pool(server.conninfo("colloquy", "sslmode=disable"), quick());
    check_refused(pool, "no encryption");
    check_refused(pool, "ssl_mode");
  }
}

TEST_CASE("a certificate that is replaced by a right one is taken without help, and a wrong one is not hammered") {
  const temp_dir folder;
  const certificate_authority authority;
  const auto trusted = authority.write_to(folder / "ca.crt");
  certificate_request old;
  old.ends_in = -1h;
  auto server = with_tls(authority.issue(old));
  const auto conninfo = server.conninfo("colloquy", "sslmode=verify-full sslrootcert=" + trusted);
  tcp_proxy proxy(target_of(conninfo));
  test_pool pool(proxy.through(conninfo), quick());
  REQUIRE(eventually([&] { return !pool.status().last_failure.empty(); }));
  const auto begun = proxy.counters().accepted;
  const auto since = std::chrono::steady_clock::now();
  REQUIRE_FALSE(eventually([&] { return pool.status().total > 0; }, 1500ms));
  // After 50 ms, then the double each time up to 300 ms, less a quarter: 225 ms apart at least in the long run.
  const auto passed = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - since);
  CHECK(proxy.counters().accepted - begun <= 4 + static_cast<std::uint64_t>(passed / 225ms));
  server.replace_certificate(authority.issue());
  CHECK(check_works(pool).uses_tls);
}

TEST_CASE("the first of two hosts is down, or swallows everything, or takes no writes: the pool uses the second") {
  own_cluster server;
  tcp_proxy first(target_of(server.conninfo()));
  auto options = quick();
  SECTION("down") {
    first.refuse();
  }
  SECTION("swallows") {
    first.swallow(flow::both);
  }
  SECTION("accepts and is silent") {
    first.hang_on_accept();
  }
  const auto both = server.conninfo("colloquy", "host=127.0.0.1,127.0.0.1 port=" + std::to_string(first.port()) + "," +
                                                    std::to_string(server.port()));
  test_pool pool(both, options);
  CHECK(eventually([&] { return pool.status().total >= 1; }, options.connection.connect_timeout * 3));
  const auto status = check_works(pool);
  CHECK(status.address == "127.0.0.1:" + std::to_string(server.port()));
}

TEST_CASE("of two servers the pool takes the one that takes writes, and moves when they change their parts") {
  own_cluster server, standby;
  standby.set_password("colloquy", server.password_of("colloquy"));
  standby.restart(stop_kind::orderly, {{"default_transaction_read_only", "on"}});
  const auto both =
      server.conninfo("colloquy", "host=127.0.0.1,127.0.0.1 port=" + std::to_string(standby.port()) + "," +
                                      std::to_string(server.port()) + " target_session_attrs=read-write");
  test_pool pool(both, quick());
  CHECK(check_works(pool).address == "127.0.0.1:" + std::to_string(server.port()));
  // The failover: the first takes writes, the second is gone.
  standby.restart(stop_kind::orderly, {{"default_transaction_read_only", "off"}});
  server.stop();
  CHECK(eventually([&] { return pool.status().address == "127.0.0.1:" + std::to_string(standby.port()); }));
  CAPTURE(pool.status().last_failure);
  REQUIRE(pool.wait_for_idle(2));
  CHECK(only_value(pool.run("SHOW transaction_read_only")) == "off");
}

TEST_CASE("at a server with no slot left the pool keeps what it has, says so, and recovers when its one is killed") {
  own_cluster_options small;
  small.settings = {{"max_connections", "8"}, {"superuser_reserved_connections", "3"}};
  own_cluster server(std::move(small));
  std::vector<std::unique_ptr<test_connection>> others;
  for (int i = 0; i < 4; ++i) // of five
    others.push_back(std::make_unique<test_connection>(server.conninfo("colloquy_owner")));
  test_pool pool(server.conninfo(), quick());
  REQUIRE(eventually([&] { return !pool.status().last_failure.empty() && pool.status().total == 1; }));
  CHECK_THAT(pool.status().last_failure, ContainsSubstring("remaining connection slots are reserved"));
  CHECK_THAT(pool.status().last_failure, ContainsSubstring("pool_max"));
  CHECK(only_value(pool.run("SELECT 'goes on'")) == "goes on");
  test_owner owner(pool); // the last backend is not leased away
  const auto leased = owner.lease(actors::lease_connection{"too many"});
  REQUIRE_FALSE(leased);
  CHECK_THAT(leased.failure().message, ContainsSubstring("remaining connection slots are reserved"));
  for (int i = 0; i < 2; ++i) { // there is none for a moment, but not for good
    const auto lost = pool.status().numbers.disconnects;
    server.value("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'colloquy'");
    CHECK(eventually([&] { return pool.status().numbers.disconnects > lost && pool.status().total == 1; }, 60s));
    CHECK(only_value(pool.run("SELECT 'again'")) == "again");
  }
  const auto tries =
      pool.status().numbers.connect_errors.at(std::string(db::to_string(db::connect_trouble::too_many_connections)));
  CHECK(tries <= 10); // it has not hammered
}

TEST_CASE("with a wrong password the pool tries seldom, says so at once, and takes the right one at once") {
  own_cluster server;
  const auto wrong = server.conninfo_with("colloquy", "wrong");
  const auto tried = [&] { return count_in(server.log(), "password authentication failed for user"); };
  tcp_proxy proxy(target_of(wrong));
  test_pool pool(proxy.through(wrong), quick());
  REQUIRE(eventually([&] { return !pool.status().last_failure.empty(); }));
  const auto begun = std::chrono::steady_clock::now();
  for (int i = 0; i < 20; ++i)
    check_refused(pool, "password authentication failed");
  CHECK(std::chrono::steady_clock::now() - begun < 10s); // none waits for a deadline
  REQUIRE_FALSE(eventually([&] { return tried() > 2; }, 3s));
  CHECK(proxy.counters().accepted <= 4); // with sslmode=prefer libpq tries each twice
  CHECK_THAT(pool.status().last_failure, !ContainsSubstring(server.password_of("colloquy")));
  const auto corrected = std::chrono::steady_clock::now();
  REQUIRE(pool.control(actors::reload_credentials{proxy.through(server.conninfo())}));
  check_works(pool);
  CHECK(std::chrono::steady_clock::now() - corrected < 10s); // the next try was due after 15 s
}

TEST_CASE("a server that is stopped and started again has its pool back without help") {
  own_cluster server;
  test_pool pool(server.conninfo(), quick());
  REQUIRE(pool.wait_for_idle(2));
  for (const auto how : {stop_kind::orderly, stop_kind::immediate, stop_kind::killed}) {
    server.stop(how);
    REQUIRE(eventually([&] { return pool.status().total == 0 && !pool.status().last_failure.empty(); }));
    const auto outcome = pool.run("SELECT 1");
    REQUIRE(outcome.failure);
    CHECK(outcome.failure->kind == db::failure_kind::wait);
    server.start();
    check_works(pool);
    CHECK(pool.status().last_failure.empty());
  }
}

TEST_CASE("a server restarted under load: every unit and lease is answered, none is done twice") {
  own_cluster server;
  server.value("CREATE TABLE runs (id text)");
  server.value("GRANT ALL ON runs TO colloquy_service");
  auto options = quick();
  options.pool.acquire_timeout = 30s;
  options.connection.unit_timeout = 30s;
  test_pool pool(server.conninfo(), options);
  REQUIRE(pool.wait_for_idle(2));
  std::atomic<bool> stop{false};
  std::atomic<int> done{0}, refused{0}, unknown{0}, unanswered{0}, leases{0};
  const auto count = [&](const db::unit_outcome& outcome) {
    if (outcome.failure && outcome.failure->message.find("no answer") != std::string::npos)
      ++unanswered;
    else
      ++(!outcome.failure ? done : outcome.failure->kind == db::failure_kind::connection_lost ? unknown : refused);
  };
  std::vector<std::thread> threads;
  for (int worker = 0; worker < 4; ++worker)
    threads.emplace_back([&, worker] {
      for (int i = 0; !stop; ++i) {
        const auto id = std::to_string(worker) + "/" + std::to_string(i);
        count(pool.run(actors::run_unit{sql("INSERT INTO runs VALUES ($1)", {id})}));
      }
    });
  threads.emplace_back([&] {
    for (int i = 0; !stop; ++i) {
      test_owner owner(pool);
      if (!owner.lease(actors::lease_connection{"load"}))
        continue;
      ++leases;
      count(owner.run(actors::run_unit{sql("INSERT INTO runs VALUES ($1)", {"lease/" + std::to_string(i)})}));
      owner.end();
    }
  });
  for (const auto how : {stop_kind::orderly, stop_kind::immediate}) {
    const auto before = done.load();
    CHECK(eventually([&] { return done > before + 50; }));
    server.restart(how);
  }
  const auto before = done.load();
  const auto leases_before = leases.load();
  CHECK(eventually([&] { return done > before + 50 && leases > leases_before; }));
  stop = true;
  for (auto& thread : threads)
    thread.join();
  CHECK(unanswered == 0);
  CHECK(server.value("SELECT count(*) FROM (SELECT id FROM runs GROUP BY id HAVING count(*) > 1) AS twice") == "0");
  const auto rows = std::stoi(server.value("SELECT count(*) FROM runs"));
  CHECK(rows >= done);
  CHECK(rows <= done + unknown);
  check_works(pool);
  CHECK(eventually([&] { return pool.status().leased == 0; }));
}
