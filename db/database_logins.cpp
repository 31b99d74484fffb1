#include "db/database_logins.hpp"

#include "db/conninfo.hpp"
#include "db/migrator_session.hpp"
#include "db/resolve.hpp"
#include "messages/hex.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <array>
#include <vector>

namespace colloquy::db {
namespace {

using digest = std::array<unsigned char, 32>;

constexpr int scram_iterations = 4096; // as the server's own
constexpr std::size_t salt_bytes = 16;
constexpr std::size_t password_bytes = 32;

// Of a session, and given at login: a RESET ALL goes back to them. The deadline of a statement is kept from outside;
// the server's own comes behind it, and behind the longest time for which rows may wait for a cursor, as it runs on
// then. So does the end of one that is left in a transaction.
constexpr const char* session_options = "-c statement_timeout=4000s -c idle_in_transaction_session_timeout=3700s"
                                        " -c client_connection_check_interval=500ms -c client_min_messages=notice"
                                        " -c standard_conforming_strings=on -c DateStyle=ISO -c IntervalStyle=postgres"
                                        " -c extra_float_digits=1 -c bytea_output=hex -c TimeZone=UTC";

std::string base64(const unsigned char* bytes, std::size_t count) {
  std::string out((count + 2) / 3 * 4 + 1, '\0');
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), bytes, static_cast<int>(count));
  out.resize(static_cast<std::size_t>(length));
  return out;
}

digest keyed_digest(const digest& key, const std::string& text) {
  digest out{};
  unsigned int size = out.size();
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(text.data()),
       text.size(), out.data(), &size);
  return out;
}

digest plain_digest(const digest& of) {
  digest out{};
  unsigned int size = out.size();
  EVP_Digest(of.data(), of.size(), out.data(), &size, EVP_sha256(), nullptr);
  return out;
}

result<std::string> make_password() {
  std::array<unsigned char, password_bytes> bytes{};
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1)
    return error{error_code::internal, "the system has no random bytes to give"};
  std::string text;
  for (const auto byte : bytes) {
    text.push_back(hex::digits[byte >> 4]);
    text.push_back(hex::digits[byte & 15]);
  }
  return text;
}

error refusal(const sql_failure& failed) {
  if (failed.sqlstate == "42501")
    return {error_code::forbidden,
            "database sessions need a login role for each tenant, and the login that migrates may not make what they "
            "need: " +
                failed.text +
                ". An administrator can help: ALTER ROLE ... CREATEROLE; GRANT CREATE ON DATABASE ... TO "
                "...; and the same login must own the schema"};
  if (failed.sqlstate == "42883")
    return {error_code::forbidden, "the database has no database sessions yet: run `colloquy migrate`"};
  return to_error(failed, "cannot make the roles of database sessions");
}

/// What only looks must not be able to make large objects, which before 16 even a transaction that only reads does.
constexpr const char* find_harm = "SELECT has_function_privilege($1::name, 'pg_catalog.lo_create(oid)', 'EXECUTE')"
                                  " AND current_setting('server_version_num')::int < 160000";

result<void> check_server(migrator_session& session, const std::string& read_role) {
  auto pid = session.query("SELECT pg_backend_pid()");
  if (pid.failed)
    return refusal(*pid.failed);
  if (pid.scalar() != std::to_string(session.reported_pid()))
    return error{error_code::forbidden, "database sessions log in as roles of their own, which does not work through a "
                                        "pooler: connect to the server directly"};
  auto harm = session.query(find_harm, {read_role});
  if (harm.failed)
    return refusal(*harm.failed);
  if (harm.scalar() == "t")
    return error{
        error_code::forbidden,
        "database sessions that only read could make large objects on this server. A superuser must run: "
        "REVOKE EXECUTE ON FUNCTION lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea) FROM PUBLIC;"};
  return {};
}

result<std::string> login_conninfo(const option_values& base, const std::string& role, const std::string& password,
                                   const std::string& search_path, database_access access,
                                   address_preference preferred) {
  auto values = base;
  values["user"] = role;
  values["password"] = password;
  values["passfile"] = "/dev/null";
  values["application_name"] = "colloquy database session";
  values["options"] = std::string(session_options) + " -c search_path=" + search_path +
                      " -c default_transaction_read_only=" + (access == database_access::read_only ? "on" : "off");
  values.erase("sslcert"); // who somebody is must not come from elsewhere
  values.erase("sslkey");
  values.erase("requirepeer");
  auto conninfo = write_conninfo(values);
  if (!has_host_names(conninfo))
    return conninfo;
  auto found = resolve_hosts(conninfo, preferred);
  if (!found)
    return found.failure();
  return found->conninfo;
}

} // namespace

std::string scram_verifier(const std::string& password) {
  std::array<unsigned char, salt_bytes> salt{};
  RAND_bytes(salt.data(), static_cast<int>(salt.size()));
  digest salted{};
  PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()), salt.data(), static_cast<int>(salt.size()),
                    scram_iterations, EVP_sha256(), static_cast<int>(salted.size()), salted.data());
  const auto stored = plain_digest(keyed_digest(salted, "Client Key"));
  const auto server = keyed_digest(salted, "Server Key");
  return "SCRAM-SHA-256$" + std::to_string(scram_iterations) + ":" + base64(salt.data(), salt.size()) + "$" +
         base64(stored.data(), stored.size()) + ":" + base64(server.data(), server.size());
}

result<database_logins> ensure_database_logins(const database_logins_place& at, const tenant_id& tenant) {
  if (at.owner_conninfo.empty())
    return error{error_code::forbidden, "database sessions are not set up here: whoever starts the service gives no "
                                        "login that may make roles"};
  auto base = parse_conninfo(at.owner_conninfo);
  if (!base)
    return base.failure();
  auto read_password = make_password();
  auto write_password = make_password();
  if (!read_password || !write_password)
    return read_password ? write_password.failure() : read_password.failure();
  auto opened = migrator_session::open(at.owner_conninfo);
  if (!opened)
    return opened.failure();
  auto& session = *opened;
  for (const auto& first : {std::string("BEGIN"), std::string("SET LOCAL statement_timeout = '20s'"),
                            std::string("SET LOCAL lock_timeout = '10s'"),
                            "SET LOCAL search_path = " + quote_identifier(at.schema) + ", pg_temp"})
    if (auto done = session.run(first); done.failed)
      return refusal(*done.failed);
  const auto may_everybody = [&session] {
    return session.query("SELECT has_function_privilege('public', 'pg_catalog.lo_create(oid)', 'EXECUTE')").scalar() ==
           "t";
  };
  const bool could_everybody = may_everybody();
  auto made = session.query("SELECT read_role, write_role, own_schema, views_schema"
                            " FROM ensure_database_tenant($1, $2, $3)",
                            {tenant.text(), scram_verifier(*read_password), scram_verifier(*write_password)});
  if (made.failed)
    return refusal(*made.failed);
  const auto& row = made.rows.front();
  database_logins logins;
  logins.read_only.role = row[0].value_or("");
  logins.read_write.role = row[1].value_or("");
  logins.own_schema = row[2].value_or("");
  logins.views_schema = row[3].value_or("");
  if (auto done = session.query("SELECT keep_types_private($1)", {tenant.text()}); done.failed)
    return refusal(*done.failed);
  if (could_everybody && !may_everybody())
    logins.taken_away = "the right to make large objects is taken from everybody (PUBLIC) in this database, because on "
                        "this version of the server even a transaction that only reads could make them. Who needs it "
                        "must be given it: GRANT EXECUTE ON FUNCTION lo_create(oid) TO ...";
  if (auto checked = check_server(session, logins.read_only.role); !checked)
    return checked.failure(); // and nothing of it stays
  if (auto done = session.run("COMMIT"); done.failed)
    return refusal(*done.failed);
  const auto path = logins.own_schema + "," + logins.views_schema;
  auto reading =
      login_conninfo(*base, logins.read_only.role, *read_password, path, database_access::read_only, at.preferred);
  auto writing =
      login_conninfo(*base, logins.read_write.role, *write_password, path, database_access::read_write, at.preferred);
  if (!reading || !writing)
    return reading ? writing.failure() : reading.failure();
  logins.read_only.conninfo = std::move(*reading);
  logins.read_write.conninfo = std::move(*writing);
  return logins;
}

result<bool> end_database_backend(const database_logins_place& at, const std::string& role, std::int32_t backend_pid) {
  auto session = migrator_session::open(at.owner_conninfo);
  if (!session)
    return session.failure();
  auto ended = session->query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND usename = $2",
                              {std::to_string(backend_pid), role});
  if (ended.failed)
    return to_error(*ended.failed, "cannot end a backend");
  return !ended.rows.empty();
}

} // namespace colloquy::db
