// What is said leads to what is done; docs/troubleshooting.md says the same as the table.
#include "db/symptoms.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/places.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <string>
#include <vector>

using namespace colloquy::db;

namespace {

const std::string source_dir = colloquy::test::source_dir();

std::string read_whole(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string_view id_of(std::string_view sqlstate, std::string_view message) {
  const auto* found = find_symptom(sqlstate, message);
  return found ? found->id : "none";
}

struct example {
  const char* id;
  const char* sqlstate;
  const char* message;
};

// What they really say: from their sources and from servers of our own. While connecting libpq has no SQLSTATE for us.
constexpr example examples[] = {
    {"slots-reserved", "53300", "remaining connection slots are reserved for non-replication superuser connections"},
    {"slots-reserved", "",
     "connection to server at \"db\" (10.0.0.1), port 5432 failed: FATAL:  remaining connection slots are reserved for "
     "roles with the SUPERUSER attribute"},
    {"too-many-clients", "", "connection to server failed: FATAL:  sorry, too many clients already"},
    {"role-limit", "53300", "too many connections for role \"ada\""},
    {"database-limit", "53300", "too many connections for database \"notes\""},
    {"recovering", "57P03", "the database system is in recovery mode"},
    {"starting-up", "", "connection to server failed: FATAL:  the database system is starting up"},
    {"starting-up", "57P03", "the database system is not yet accepting connections"},
    {"shutting-down", "57P03", "the database system is shutting down"},
    {"hot-standby-off", "57P03", "the database system is not accepting connections"},
    {"no-suitable-host", "", "connection to server at \"b\", port 5432 failed: session is read-only"},
    {"no-encryption", "",
     "FATAL:  no pg_hba.conf entry for host \"10.0.0.2\", user \"ada\", database \"notes\", no encryption"},
    {"address-refused", "28000",
     "no pg_hba.conf entry for host \"10.0.0.2\", user \"ada\", database \"notes\", SSL encryption"},
    {"role-may-not-log-in", "28000", "role \"ada\" is not permitted to log in"},
    {"other-authentication", "", "FATAL:  Peer authentication failed for user \"ada\""},
    {"connect-right", "42501", "permission denied for database \"notes\""},
    {"database-closed", "55000", "database \"template0\" is not currently accepting connections"},
    {"supavisor-session-pool-full", "XX000",
     "(EMAXCONNSESSION) max clients reached in session mode - max clients are limited to pool_size: 15"},
    {"supavisor-session-pool-full", "XX000",
     "MaxClientsInSessionMode: max clients reached - in Session mode max clients are limited to pool_size"},
    {"supavisor-clients-full", "XX000", "(EMAXCONN) max client connections reached, limit: 200"},
    {"supavisor-clients-full", "", "FATAL:  Max client connections reached"},
    {"supavisor-tenant-not-found", "XX000", "(ENOTFOUND) tenant/user postgres.ref not found"},
    {"supavisor-tenant-not-found", "", "FATAL:  Tenant or user not found"},
    {"supavisor-user-format", "XX000",
     "(ENOIDENTIFIER) no tenant identifier provided (external_id or sni_hostname required)"},
    {"supavisor-user-format", "XX000",
     "(EINVALIDUSERINFO) Authentication error, reason: \"Invalid format for user or db_name\""},
    {"supavisor-blocked", "XX000",
     "(ECIRCUITBREAKER) too many authentication failures, new connections are temporarily blocked"},
    {"supavisor-circuit-open", "XX000",
     "(ECIRCUITBREAKER) too many failed attempts to connect to the database, new connections are temporarily blocked"},
    {"supavisor-banned", "XX000", "(EBANNED) tenant is banned: unpaid"},
    {"supavisor-address-refused", "XX000", "(EADDRNOTALLOWED) address not in tenant allow_list: {10, 0, 0, 1}"},
    {"supavisor-tls-required", "XX000", "(ESSLREQUIRED) SSL connection is required for user: postgres"},
    {"supavisor-checkout-timeout", "XX000",
     "(ECHECKOUTTIMEOUT) unable to check out connection from the pool after 15000ms in Session mode"},
    {"supavisor-auth-query", "XX000", "(EAUTHQUERY) authentication query failed: connection to database not available"},
    {"supavisor-auth-timeout", "08006", "(EAUTHTIMEOUT) timeout while waiting for message"},
    {"supavisor-backend-lost", "XX000", "(EDBHANDLEREXITED) DbHandler exited. Check logs for more information"},
    {"supavisor-transaction-mode", "XX000",
     "(EMAXPREPARED) max prepared statements limit reached. Limit: 100 per "
     "connection"},
    {"supavisor-transaction-mode", "XX000",
     "(EPSSIMPLEQUERY) transaction mode only supports prepared statements using the Extended Query Protocol"},
    {"supavisor-internal", "XX000",
     "(ESUBSCRIBERETRIES) failed to subscribe to tenant after multiple retries. Terminating"},
    {"supavisor-internal", "XX000", "(EPROXYSTARTFAILED) failed to start proxy connection"},
    {"pgbouncer-clients-full", "08P01", "no more connections allowed (max_client_conn)"},
    {"pgbouncer-clients-full", "08P01", "client connections exceeded (max_db_client_connections)"},
    {"pgbouncer-wait-timeout", "08P01", "query_wait_timeout"},
    {"pgbouncer-startup-option", "", "FATAL:  unsupported startup parameter: options"},
    {"pgbouncer-no-database", "08P01", "no such database: notes"},
    {"pgbouncer-no-user", "08P01", "no such user"},
    {"pgbouncer-server-login", "08P01", "server login has been failing, try again later (server_login_retry)"},
    {"pgbouncer-server-down", "08P01", "client_login_timeout (server down)"},
    {"pgbouncer-server-crashed", "08P01", "server conn crashed?"},
    {"pgbouncer-client-idle", "08P01", "client_idle_timeout"},
    {"pgbouncer-tls-required", "08P01", "SSL required"},
    {"pgbouncer-statement-mode", "08P01", "transaction blocks not allowed in statement pooling mode"},
    {"pgbouncer-transaction-mode", "08P01", "prepared statement did not exist"},
    {"pgbouncer-stopping", "08P01", "pooler is shutting down"},
    {"tls-wrong-name", "", "server certificate for \"db.test\" does not match host name \"other.test\""},
    {"tls-root-missing", "",
     "root certificate file \"/tmp/none.crt\" does not exist\nEither provide the file or change sslmode to disable "
     "server "
     "certificate verification."},
    {"tls-expired", "", "SSL error: certificate verify failed: certificate has expired"},
    {"tls-unknown-authority", "", "SSL error: certificate verify failed"},
    {"tls-not-offered", "", "server does not support SSL, but SSL was required"},
    {"tls-channel-binding", "",
     "channel binding is required, but server did not offer an authentication method that supports channel binding"},
    {"tls-client-certificate", "", "FATAL:  connection requires a valid client certificate"},
    {"password-missing", "", "fe_sendauth: no password supplied"},
    {"password-wrong", "", "FATAL:  password authentication failed for user \"ada\""},
    {"password-wrong", "28P01", "password authentication failed for user \"ada\""},
    {"password-wrong", "08P01", "SASL authentication failed"},
    {"password-method", "", "authentication method 13 not supported"},
    {"password-wrong", "",
     "connection to server failed: FATAL:  password authentication failed for user \"ada\" connection to server "
     "failed: "
     "FATAL:  no pg_hba.conf entry for host \"10.0.0.2\", user \"ada\", database \"notes\", no encryption"},
    {"database-missing", "",
     "connection to server failed: FATAL:  database \"notes\" does not exist connection to server failed: FATAL:  "
     "pg_hba.conf rejects connection for host \"10.0.0.2\", user \"ada\", database \"notes\", no encryption"},
    {"slots-reserved", "08P01",
     "server login has been failing, cached error: remaining connection slots are reserved (server_login_retry)"},
    {"connection-refused", "",
     "connection to server at \"db\" (2001:db8::1) failed: Network is unreachable connection to server at \"db\" "
     "(10.0.0.1) failed: Connection refused"},
    {"role-missing", "", "FATAL:  role \"ada\" does not exist"},
    {"database-missing", "", "FATAL:  database \"notes\" does not exist"},
    {"only-ipv6", "", "host \"db.ref.supabase.co\" has only IPv6 addresses; a machine without IPv6 does not reach it"},
    {"network-unreachable", "",
     "connection to server at \"db.ref.supabase.co\" (2001:db8::1), port 5432 failed: Network is unreachable\n\tIs the "
     "server running on that host and accepting TCP/IP connections?"},
    {"host-not-found", "", "could not translate host name \"db.none\" to address: Name or service not known"},
    {"host-not-found", "", "cannot find the database's host \"db.none\": Name or service not known"},
    {"socket-missing", "",
     "connection to server on socket \"/tmp/.s.PGSQL.5432\" failed: No such file or directory\n\tIs the server running "
     "locally and accepting connections on that socket?"},
    {"connection-refused", "",
     "connection to server at \"localhost\" (127.0.0.1), port 1 failed: Connection refused\n\tIs the server running on "
     "that host and accepting TCP/IP connections?"},
    {"connect-timeout", "", "timeout expired"},
    {"connection-timed-out", "", "could not receive data from server: Connection timed out"},
    {"not-postgres", "", "expected authentication request from server, but received H"},
    {"not-a-connection-string", "", "the database's connection string cannot be read"},
    {"pool-saturated", "", "no free connection within the time allowed; see pool_max (20) and acquire_timeout"},
    {"pool-saturated", "", "too many units wait for a connection (pool_waiters_max, tenant_waiters_max)"},
    {"administrator-ended-it", "57P01", "terminating connection due to administrator command"},
    {"administrator-ended-it", "",
     "connection lost: FATAL:  terminating connection due to administrator command server closed the connection "
     "unexpectedly"},
    {"server-crashed", "57P02", "terminating connection because of crash of another server process"},
    {"idle-in-transaction-timeout", "25P03", "terminating connection due to idle-in-transaction timeout"},
    {"idle-session-timeout", "57P05", "terminating connection due to idle-session timeout"},
    {"transaction-timeout", "", "FATAL:  terminating connection due to transaction timeout"},
    {"statement-timeout", "57014", "canceling statement due to statement timeout"},
    {"cancelled", "57014", "canceling statement due to user request"},
    {"lock-timeout", "55P03", "canceling statement due to lock timeout"},
    {"standby-conflict", "40001", "canceling statement due to conflict with recovery"},
    {"cached-plan", "0A000", "cached plan must not change result type"},
    {"row-policy", "42501", "new row violates row-level security policy for table \"events\""},
    {"pgbouncer-query-timeout", "08P01", "query_timeout"},
    {"connection-closed", "",
     "server closed the connection unexpectedly\n\tThis probably means the server terminated abnormally\n\tbefore or "
     "while processing the request."},
    {"connection-closed", "", "SSL SYSCALL error: EOF detected"},
    {"connection-closed", "", "SSL connection has been closed unexpectedly"},
    {"connection-closed", "", "Connection terminated unexpectedly"},
    {"connection-closed", "", "could not receive data from server: Connection reset by peer"},
    {"tls-failed", "", "SSL error: unsupported protocol"},
    {"fence", "CQ001", "writer 7 is at batch 8"},
    // The server in another language: the SQLSTATE alone.
    {"too-many-connections", "53300", "tut mir leid, schon zu viele Verbindungen"},
    {"cannot-connect-now", "57P03", "das Datenbanksystem startet"},
    {"password-refused", "28P01", "Passwort-Authentifizierung für Benutzer »ada« fehlgeschlagen"},
    {"login-refused", "28000", "Rolle »ada« existiert nicht"},
    {"database-unknown", "3D000", "Datenbank »notes« existiert nicht"},
    {"backend-ended", "57P01", "Verbindung wird abgebrochen"},
    {"crash-shutdown", "57P02", "Verbindung wird abgebrochen"},
    {"idle-session-ended", "57P05", "Verbindung wird abgebrochen"},
    {"idle-transaction-ended", "25P03", "Verbindung wird abgebrochen"},
    {"transaction-ended", "25P04", "Verbindung wird abgebrochen"},
    {"query-cancelled", "57014", "Anfrage wird storniert"},
    {"aborted-transaction", "25P02", "current transaction is aborted, commands ignored until end of transaction block"},
    {"read-only", "25006", "cannot execute INSERT in a read-only transaction"},
    {"serialization", "40001", "could not serialize access due to concurrent update"},
    {"deadlock", "40P01", "deadlock detected"},
    {"completion-unknown", "40003", "statement completion unknown"},
    {"lock-not-available", "55P03", "could not obtain lock on row in relation \"events\""},
    {"disk-full", "53100", "could not extend file \"base/1/2\": No space left on device"},
    {"out-of-memory", "53200", "out of memory"},
    {"io-error", "58030", "could not read block 7"},
    {"prepared-statement-exists", "42P05", "prepared statement \"s1\" already exists"},
    {"prepared-statement-lost", "26000", "prepared statement \"s1\" does not exist"},
    {"rights", "42501", "permission denied for table events"},
    {"table-missing", "42P01", "relation \"events\" does not exist"},
    {"schema-missing", "3F000", "schema \"colloquy\" does not exist"},
    {"column-missing", "42703", "column \"x\" does not exist"},
    {"function-missing", "42883", "function begin_batch(integer) does not exist"},
    {"data-corrupted", "XX001", "invalid page in block 7 of relation base/1/2"},
    {"index-corrupted", "XX002", "index \"i\" contains unexpected zero page at block 7"},
    {"bad-value", "22P02", "invalid input syntax for type integer"},
    {"constraint", "23505", "duplicate key value violates unique constraint \"events_pkey\""},
    {"connection-exception", "08006", "connection failure"},
    {"resources", "53400", "configuration limit exceeded"},
    {"intervention", "57000", "operator intervention"},
    {"system-error", "58P01", "could not open file"},
    {"internal-error", "XX000", "cache lookup failed for relation 7"},
    {"none", "", "something else"},
    {"none", "42601", "syntax error at or near \"foo\""},
};

// Behind this line the document is made from the table; what stands before it is written by hand.
constexpr std::string_view marker = "<!-- From here on made from db/symptoms_*.hpp: COLLOQUY_WRITE_TROUBLESHOOTING=1 "
                                    "db_test \"[troubleshooting]\" -->\n";
const std::string document_path = source_dir + "/docs/troubleshooting.md";

/// The alternatives of a text, each as code.
std::string quoted_alternatives(std::string_view text) {
  std::string out = "`";
  for (char c : text)
    out += c == '|' ? std::string("`, `") : std::string(1, c);
  return out + "`";
}

std::string seen(const symptom& known) {
  std::string out = known.text.empty() ? "" : quoted_alternatives(known.text);
  if (known.sqlstate.empty())
    return out;
  const auto state =
      (known.sqlstate.size() == 2 ? "SQLSTATEs that begin with " : "SQLSTATE ") + std::string(known.sqlstate);
  return out.empty() ? state : out + " (" + state + ")";
}

std::string done(const symptom& known) {
  auto out = std::string(to_string(action_for(known.kind)));
  if (known.kind == failure_kind::connection_lost)
    out += "; while connecting: " + std::string(to_string(action_for(failure_kind::wait)));
  if (known.trouble != connect_trouble::none)
    out += " (" + std::string(to_string(known.trouble)) + ")";
  return out;
}

std::string section(const symptom& known) {
  std::string out = "\n## " + std::string(known.id) + "\n\n" + std::string(known.advice) + "\n\n";
  out += "- Seen as: " + seen(known) + "\n- Again: " + done(known) + "\n";
  if (!known.setting.empty())
    out += "- Setting: `" + std::string(known.setting) + "`\n";
  if (!known.command.empty())
    out += "- Command: `" + std::string(known.command) + "`\n";
  return out;
}

std::string sections() {
  std::string out;
  for (const auto& known : symptoms())
    out += section(known);
  return out;
}

} // namespace

TEST_CASE("what they say is known by its SQLSTATE and its words") {
  for (const auto& [id, sqlstate, message] : examples) {
    CAPTURE(sqlstate, message);
    CHECK(id_of(sqlstate, message) == id);
  }
}

TEST_CASE("every symptom is found by what is really said") {
  std::set<std::string_view> shown;
  for (const auto& each : examples)
    shown.insert(each.id);
  for (const auto& known : symptoms()) {
    CAPTURE(known.id);
    CHECK(shown.contains(known.id));
    // Each of its words leads to it alone, and not to one that is looked for before it.
    std::istringstream alternatives{std::string(known.text)};
    for (std::string words; std::getline(alternatives, words, '|');) {
      CAPTURE(words);
      CHECK(id_of(known.sqlstate, "so: " + words) == known.id);
    }
  }
}

TEST_CASE("upper and lower case are alike") {
  CHECK(id_of("", "FATAL: TENANT OR USER NOT FOUND") == "supavisor-tenant-not-found");
  CHECK(id_of("XX000", "(emaxconnsession) MAX CLIENTS") == "supavisor-session-pool-full");
}

TEST_CASE("what a statement says of itself is no pooler's symptom") {
  for (const char* sqlstate : {"P0001", "22P02", "23514", "42601", "44000", "54000"}) {
    const auto* found = find_symptom(sqlstate, "invalid value: (EMAXCONNSESSION) query_wait_timeout timeout expired");
    CHECK((!found || !found->text.size()));
  }
  CHECK(make_failure("P0001", "server closed the connection unexpectedly").kind == failure_kind::data);
}

TEST_CASE("the table is in order: words before SQLSTATEs, and these before their classes") {
  std::set<std::string_view> ids, settings;
  std::size_t last = 0;
  for (const auto& known : symptoms()) {
    CAPTURE(known.id);
    CHECK(ids.insert(known.id).second);
    CHECK(known.id.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string_view::npos);
    const bool is_class = known.sqlstate.size() == 2;
    const std::size_t rank = !known.text.empty() ? 0 : !is_class ? 1 : 2;
    CHECK(rank >= last);
    last = rank;
    CHECK((known.sqlstate.empty() || is_class || known.sqlstate.size() == 5));
    CHECK_FALSE((known.text.empty() && known.sqlstate.empty()));
    CHECK(known.text.find("||") == std::string_view::npos);
    CHECK_FALSE(known.text.ends_with('|'));
    CHECK(known.advice.ends_with('.'));
    CHECK(known.advice.find('\n') == std::string_view::npos);
    // Its words only make a SQLSTATE more exact; what is done about it stays.
    if (known.sqlstate.size() == 5 && known.id != "cached-plan" && known.text.find("prepared statement") != 0 &&
        known.id != "pgbouncer-tls-required")
      CHECK(known.kind == classify_sqlstate(known.sqlstate));
  }
}

TEST_CASE("symptoms name settings that there are") {
  const auto file = read_whole(source_dir + "/config/colloquy.example.conf");
  REQUIRE_FALSE(file.empty());
  for (const auto& known : symptoms()) {
    CAPTURE(known.id, known.setting);
    if (!known.setting.empty())
      CHECK(file.find("\n#" + std::string(known.setting) + " =") != std::string::npos);
  }
}

TEST_CASE("each kind of failure leads to one action") {
  CHECK(action_for(failure_kind::retry) == retry_action::retry_now);
  CHECK(action_for(failure_kind::wait) == retry_action::retry_later);
  CHECK(action_for(failure_kind::connection_lost) == retry_action::outcome_unknown);
  for (auto kind : {failure_kind::data, failure_kind::fence, failure_kind::fault})
    CHECK(action_for(kind) == retry_action::never);
  std::set<std::string_view> names;
  for (auto action :
       {retry_action::retry_now, retry_action::retry_later, retry_action::never, retry_action::outcome_unknown})
    names.insert(to_string(action));
  CHECK(names.size() == 4);
  std::set<std::string_view> troubles;
  for (auto trouble : {connect_trouble::none, connect_trouble::credentials, connect_trouble::too_many_connections,
                       connect_trouble::network, connect_trouble::starting_up, connect_trouble::transaction_mode,
                       connect_trouble::certificate, connect_trouble::other})
    troubles.insert(to_string(trouble));
  CHECK(troubles.size() == 8);
}

TEST_CASE("a failure is made with its kind, its symptom and what to do") {
  const auto full = make_failure("53300", "sorry, too many clients already");
  CHECK(full.kind == failure_kind::wait);
  REQUIRE(full.known);
  CHECK(full.known->trouble == connect_trouble::too_many_connections);
  CHECK(describe(full) == "sorry, too many clients already — " + std::string(full.known->advice));

  const auto plan = make_failure("0A000", "cached plan must not change result type");
  CHECK(plan.kind == failure_kind::retry);
  CHECK(make_failure("0A000", "not implemented").kind == failure_kind::fault);
  CHECK(make_failure("08P01", "query_wait_timeout").kind == failure_kind::wait); // nothing was sent to a backend

  const auto unknown = make_failure("42601", "syntax error");
  CHECK(unknown.kind == failure_kind::fault);
  CHECK(unknown.known == nullptr);
  CHECK(describe(unknown) == "syntax error");
}

TEST_CASE("a connection that is lost leaves the outcome unknown, but not while it is being made") {
  for (const char* message : {"server closed the connection unexpectedly", "words that nobody knows"}) {
    CHECK(make_failure("", message).kind == failure_kind::connection_lost);
    CHECK(make_failure("", message, true).kind == failure_kind::wait);
  }
  CHECK(make_failure("57P01", "terminating connection due to administrator command", true).kind == failure_kind::wait);
  CHECK(make_failure("28P01", "password authentication failed", true).kind == failure_kind::fault);
}

TEST_CASE("the document on troubleshooting says what the table says", "[troubleshooting]") {
  const auto before = read_whole(document_path);
  const auto at = before.find(marker);
  REQUIRE(at != std::string::npos);
  const auto wanted = before.substr(0, at + marker.size()) + sections();
  if (std::getenv("COLLOQUY_WRITE_TROUBLESHOOTING") != nullptr)
    std::ofstream(document_path, std::ios::binary) << wanted;
  INFO("write it anew: COLLOQUY_WRITE_TROUBLESHOOTING=1 db_test \"[troubleshooting]\"");
  CHECK(read_whole(document_path) == wanted);
}

TEST_CASE("the document has a heading for each symptom and for nothing else", "[troubleshooting]") {
  std::set<std::string> headings, ids;
  std::istringstream lines(read_whole(document_path));
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("##"))
      CHECK(headings.insert(line.substr(line.find_first_not_of("# "))).second);
  for (const auto& known : symptoms())
    ids.insert(std::string(known.id));
  CHECK(headings == ids);
}
