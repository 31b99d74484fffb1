// What the doctor finds out, at real servers and on ways to them that were spoilt.
#include "db/doctor_network.hpp"
#include "db/doctor_schema.hpp"
#include "db/doctor_server.hpp"
#include "db/doctor_session.hpp"
#include "db/doctor_tls.hpp"
#include "db/doctor_write.hpp"
#include "db/symptoms.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/free_port.hpp"
#include "tests/support/own_cluster.hpp"
#include "tests/support/pgbouncer.hpp"
#include "tests/support/tcp_proxy.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/test_cluster.hpp"

#include <csignal>
#include <string>
#include <vector>

using namespace colloquy;
using namespace colloquy::test;
using namespace colloquy::db::doctor;
using namespace std::chrono_literals;

namespace {

constexpr milliseconds patience{60'000}; ///< where nothing is to time out

door_facts door_to(int port) {
  return {"127.0.0.1", std::to_string(port), "127.0.0.1", db::doctor::address_family::ipv4, "", false, {}};
}

tls_facts seen(const own_cluster& cluster, const std::string& extra, std::string host = "localhost") {
  auto door = door_to(cluster.port());
  door.host = std::move(host);
  auto facts = shake_hands(cluster.conninfo("colloquy", extra), door, patience);
  UNSCOPED_INFO(facts.failure << " " << facts.other_fault << " " << facts.authorities_failure);
  return facts;
}

own_cluster with_tls(const certificate& shown) {
  own_cluster_options options;
  options.tls = shown;
  options.migrated = false;
  return own_cluster(std::move(options));
}

std::string symptom_of(const std::optional<db::db_failure>& failure) {
  return !failure ? "" : failure->known ? std::string(failure->known->id) : "unknown: " + failure->message;
}

} // namespace

TEST_CASE("addresses and sockets are not looked up, names are") {
  const auto facts = look_up("host=127.0.0.1,::1,/run/nowhere,localhost,no-such-host.invalid port=5433", patience);
  REQUIRE(facts.hosts.size() == 5);
  CHECK(facts.hosts[0].ipv4 == std::vector<std::string>{"127.0.0.1"});
  CHECK(facts.hosts[1].ipv6 == std::vector<std::string>{"::1"});
  CHECK_FALSE(facts.hosts[2].is_name);
  CHECK(facts.hosts[3].is_name);
  CHECK(facts.hosts[3].ipv4.size() + facts.hosts[3].ipv6.size() > 0);
  CHECK(facts.hosts[3].port == "5433");
  CHECK_FALSE(facts.hosts[4].ipv4_failure.empty());
  CHECK_FALSE(facts.hosts[4].ipv6_failure.empty());
}

TEST_CASE("open and closed doors are told apart, and only open ones are gone through") {
  own_cluster_options options;
  options.migrated = false;
  const own_cluster cluster(std::move(options));
  const auto closed = std::to_string(free_port());
  const auto conninfo =
      cluster.conninfo("colloquy", "host=127.0.0.1,127.0.0.1," + cluster.socket_dir() + " port=" + closed + "," +
                                       std::to_string(cluster.port()) + "," + std::to_string(cluster.port()));
  const auto reached = db::doctor::reach(look_up(conninfo, patience), patience);
  REQUIRE(reached.doors.size() == 3);
  CHECK_THAT(reached.doors[0].failure, ContainsSubstring("refused"));
  CHECK(reached.doors[1].is_open());
  CHECK(reached.doors[2].family == db::doctor::address_family::unix_socket);
  CHECK(reached.doors[2].is_open());
  const auto narrowed = through_open_doors(conninfo, reached, db::address_preference::any);
  CHECK_THAT(narrowed, !ContainsSubstring(closed));
  const session through(narrowed, in(patience));
  CHECK(symptom_of(through.failure()) == "");
  CHECK(through.port() == std::to_string(cluster.port()));
}

TEST_CASE("a certificate's faults are told apart") {
  const temp_dir folder;
  const certificate_authority authority("The right one");
  const auto trusted = " sslrootcert=" + authority.write_to(folder / "trusted.crt");
  const auto strict = "sslmode=verify-full" + trusted;
  auto cluster = with_tls(authority.issue());

  const auto good = seen(cluster, strict);
  CHECK(good.offered);
  CHECK(good.failure == "");
  CHECK_THAT(good.version, ContainsSubstring("TLSv1."));
  CHECK_FALSE(good.cipher.empty());
  REQUIRE(good.certificate);
  CHECK_THAT(good.certificate->subject, ContainsSubstring("localhost"));
  CHECK_THAT(good.certificate->issuer, ContainsSubstring("The right one"));
  CHECK(good.certificate->names == std::vector<std::string>{"localhost", "127.0.0.1", "::1"});
  CHECK((good.authority_known && good.in_time && good.name_fits));
  CHECK((good.checks_authority && good.checks_name));

  const auto other = certificate_authority("Another").write_to(folder / "other.crt");
  const auto stranger = seen(cluster, "sslmode=verify-full sslrootcert=" + other);
  CHECK((!stranger.authority_known && stranger.in_time && stranger.name_fits));
  const auto misnamed = seen(cluster, strict, "db.example.com");
  CHECK((misnamed.authority_known && misnamed.in_time && !misnamed.name_fits));
  CHECK(seen(cluster, strict, "127.0.0.1").name_fits);
  CHECK_FALSE(seen(cluster, "sslmode=require sslrootcert=" + (folder / "none.crt").string()).checks_authority);
  CHECK(seen(cluster, "sslmode=require" + trusted).checks_authority); // as libpq has it
  CHECK_THAT(seen(cluster, "sslmode=verify-full sslrootcert=" + (folder / "none.crt").string()).authorities_failure,
             ContainsSubstring("none.crt"));

  certificate_request request;
  request.ends_in = -1h;
  cluster.replace_certificate(authority.issue(request));
  const auto expired = seen(cluster, strict);
  CHECK((expired.authority_known && !expired.in_time && expired.name_fits));
  CHECK(expired.certificate->valid_until < expired.now);
  const auto both = seen(cluster, "sslmode=verify-full sslrootcert=" + other);
  CHECK((!both.authority_known && !both.in_time));
  request.starts_in = 1h;
  request.ends_in = 24h;
  cluster.replace_certificate(authority.issue(request));
  const auto early = seen(cluster, strict);
  CHECK((early.authority_known && !early.in_time && early.name_fits));
}

TEST_CASE("a server without TLS, one that is away, and one that says nothing are told apart") {
  own_cluster_options options;
  options.migrated = false;
  const own_cluster cluster(std::move(options));
  const auto plain = seen(cluster, "sslmode=require");
  CHECK_FALSE(plain.offered);
  CHECK(plain.failure == "");
  CHECK_THAT(shake_hands(cluster.conninfo(), door_to(free_port()), patience).failure, ContainsSubstring("refused"));
  tcp_proxy proxy(target_of(cluster.conninfo()));
  proxy.swallow(flow::both);
  const auto silent = shake_hands(cluster.conninfo(), door_to(proxy.port()), 200ms);
  CHECK_FALSE(silent.offered);
  CHECK_THAT(silent.failure, ContainsSubstring("no answer within"));
}

TEST_CASE("a login's refusal is known and has no password in it") {
  own_cluster_options options;
  options.migrated = false;
  const own_cluster cluster(std::move(options));
  const session good(cluster.conninfo(), in(patience));
  CHECK(symptom_of(good.failure()) == "");
  CHECK(good.user() == "colloquy");
  const session wrong(cluster.conninfo_with("colloquy", "plantedsecret"), in(patience));
  CHECK(symptom_of(wrong.failure()) == "password-wrong");
  CHECK_THAT(wrong.failure()->message, !ContainsSubstring("plantedsecret"));
  // Where the server's own words repeat it.
  const auto password = cluster.password_of("colloquy");
  const session named(cluster.conninfo("colloquy", "dbname=" + password), in(patience));
  CHECK(symptom_of(named.failure()) == "database-missing");
  CHECK_THAT(named.failure()->message, ContainsSubstring("***") && !ContainsSubstring(password));
}

TEST_CASE("a connection that stops answering is given up at its deadline, at login and later") {
  const auto database = test_database::make_empty();
  tcp_proxy proxy(target_of(database.service_conninfo()));
  const auto conninfo = proxy.through(database.service_conninfo());
  session connection(conninfo, in(patience));
  REQUIRE(symptom_of(connection.failure()) == "");
  CHECK(connection.query("SELECT $1::int + 1", {"41"}, in(patience)).at(0, 0) == "42");
  proxy.swallow(flow::both);
  CHECK(symptom_of(connection.query("SELECT 1", {}, in(200ms)).failure) == "connection-timed-out");
  CHECK(connection.failure());
  CHECK(connection.query("SELECT 1", {}, in(patience)).failure); // at once
  CHECK(symptom_of(session(conninfo, in(200ms)).failure()) == "connect-timeout");
}

TEST_CASE("a statement that is refused leaves the connection, one that ends it does not") {
  const auto database = test_database::make_empty();
  session connection(database.service_conninfo(), in(patience));
  CHECK(symptom_of(connection.query("SELECT * FROM nowhere", {}, in(patience)).failure) == "table-missing");
  CHECK_FALSE(connection.failure());
  CHECK(connection.query("SELECT 7", {}, in(patience)).number_at(0, 0) == 7);
  database.exec("SELECT pg_terminate_backend(" + std::to_string(connection.reported_pid()) + ", 30000)");
  CHECK(connection.query("SELECT 7", {}, in(patience)).failure);
  CHECK(connection.failure());
}

TEST_CASE("poolers are told from servers, and session mode from transaction mode") {
  own_cluster_options server;
  server.migrated = false;
  const own_cluster cluster(std::move(server));
  session direct(cluster.conninfo(), in(patience));
  const auto alone = look_at_pooling(direct, cluster.conninfo(), false, patience);
  CHECK(symptom_of(alone.failure) == "");
  CHECK(alone.kind == db::endpoint_kind::direct);
  CHECK_FALSE(alone.pools_by_transaction());
  if (!pgbouncer::installed())
    return;
  for (const auto* mode : {"session", "transaction"}) {
    const pgbouncer pooler(in_front_of(cluster, mode));
    session connection(pooler.conninfo(), in(patience));
    const auto facts = look_at_pooling(connection, pooler.conninfo(), false, patience);
    CHECK(symptom_of(facts.failure) == "");
    CHECK(symptom_of(facts.second_failure) == "");
    CHECK(facts.kind == db::endpoint_kind::pgbouncer);
    CHECK(facts.pools_by_transaction() == (std::string(mode) == "transaction"));
  }
}

TEST_CASE("a session pooler that has no second backend is no transaction pooler") {
  if (!pgbouncer::installed())
    return;
  own_cluster_options server;
  server.migrated = false;
  const own_cluster cluster(std::move(server));
  auto options = in_front_of(cluster, "session");
  options.default_pool_size = 1;
  const pgbouncer pooler(std::move(options));
  session connection(pooler.conninfo(), in(patience));
  const auto facts = look_at_pooling(connection, pooler.conninfo(), false, 2000ms);
  CHECK(symptom_of(facts.failure) == "");
  CHECK_FALSE(facts.pools_by_transaction());
  CHECK_FALSE(symptom_of(facts.second_failure).empty()); // at the login or at the first statement
}

TEST_CASE("version, rights, settings, clocks and connections of a migrated database") {
  const auto database = test_database::make();
  session connection(database.service_conninfo(), in(patience));
  const auto version = look_at_version(connection, patience);
  CHECK(version.number >= 150000);
  CHECK(version.encoding == "UTF8");
  CHECK_FALSE(version.in_recovery);

  const auto rights = look_at_rights(connection, patience);
  CHECK(rights.login == "colloquy");
  CHECK_FALSE(rights.is_superuser);
  REQUIRE(rights.roles.size() == 2);
  CHECK(rights.roles[0].name == "colloquy_service");
  CHECK((rights.roles[0].reachable && rights.roles[1].reachable));
  session super(database.superuser_conninfo(), in(patience));
  CHECK(look_at_rights(super, patience).is_superuser);

  const auto settings =
      try_settings(connection, db::service_target("", "public", "doctored", {1500ms, 2500ms, 3500ms}), patience);
  CHECK(symptom_of(settings.failure) == "");
  REQUIRE_FALSE(settings.settings.empty());
  for (const auto& each : settings.settings)
    CHECK(each.applied == each.read_back);
  CHECK(connection.query("SELECT current_user::text || current_setting('statement_timeout')", {}, in(patience))
            .at(0, 0) == "colloquy0"); // nothing stays

  const auto clocks = compare_clocks(connection, patience);
  CHECK(std::chrono::abs(clocks.ahead) <= clocks.uncertainty + 2s);

  test_connection held(database.service_conninfo() + " application_name='doctored writer'");
  held.exec("BEGIN");
  held.exec("SELECT 1");
  const auto usage = look_at_usage(connection, "doctored", patience);
  CHECK(symptom_of(usage.failure) == "");
  CHECK(usage.max_connections > 0);
  CHECK(usage.used >= 2);
  CHECK(usage.ours == 2);
  CHECK(usage.idle_in_transaction >= 1);
  CHECK(usage.role_limit == -1);
}

TEST_CASE("a complete schema lacks nothing, and what is dropped is named") {
  const auto database = test_database::make();
  session connection(database.service_conninfo(), in(patience));
  const auto look = [&] { return look_at_schema(connection, database.service_conninfo(), "public", patience); };
  const auto whole = look();
  CHECK_FALSE(whole.failure);
  CHECK(symptom_of(whole.catalog_failure) == "");
  CHECK(whole.missing.empty());
  CHECK(whole.expected > 20);
  REQUIRE(whole.state);
  CHECK(whole.state->usable());

  database.exec("DROP INDEX idx_sessions_user_id");
  database.exec("DROP POLICY turns_of_tenants ON turns");
  database.exec("ALTER TABLE events NO FORCE ROW LEVEL SECURITY");
  const auto holed = look();
  CHECK(holed.missing == std::vector<std::string>{"index idx_sessions_user_id", "forced row level security of events",
                                                  "policy turns_of_tenants on turns"});
}

TEST_CASE("a database without the schema is seen to lack the migrations") {
  const auto database = test_database::make_empty();
  session connection(database.owner_conninfo(), in(patience));
  const auto facts = look_at_schema(connection, database.owner_conninfo(), "public", patience);
  REQUIRE(facts.state);
  CHECK_FALSE(facts.state->missing.empty());
  CHECK(facts.missing.size() == facts.expected);
}

TEST_CASE("the trial of writing finds its session, hides it from others, and leaves nothing") {
  const auto database = test_database::make();
  session connection(database.service_conninfo(), in(patience));
  const auto good = try_writing(connection, "public", patience);
  CHECK(symptom_of(good.failure) == "");
  CHECK((good.found_again && good.hidden_from_others && good.rolled_back));
  for (const auto* table : {"sessions", "events", "turns", "writers"})
    CHECK(database.value(std::string("SELECT count(*) FROM ") + table) == "0");

  database.exec("DROP POLICY sessions_of_tenants ON sessions");
  database.exec("CREATE POLICY open_to_all ON sessions USING (true) WITH CHECK (true)");
  const auto open = try_writing(connection, "public", patience);
  CHECK(open.found_again);
  CHECK_FALSE(open.hidden_from_others);

  database.exec("REVOKE INSERT ON events FROM colloquy_service");
  const auto refused = try_writing(connection, "public", patience);
  CHECK(symptom_of(refused.failure) == "rights");
  CHECK(refused.step == "writing a session and an event");
  CHECK(refused.rolled_back);
}
