#include "db/embedded_roles.hpp"

#include "db/libpq_handles.hpp"

namespace colloquy::db::embedded {

namespace {

// One statement text is one transaction. The owner may make the roles of the migrations (CREATEROLE) and nothing else
// in the cluster is open to it.
constexpr const char* roles_sql = R"sql(
SET statement_timeout = '20s';
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'colloquy_owner') THEN
    CREATE ROLE colloquy_owner;
  END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'colloquy') THEN
    CREATE ROLE colloquy;
  END IF;
  IF current_setting('server_version_num')::int >= 160000 THEN
    -- Before 16 CREATEROLE alone let the owner alter this role; membership in it would be too much.
    EXECUTE 'GRANT colloquy TO colloquy_owner WITH ADMIN TRUE, INHERIT FALSE, SET FALSE';
  END IF;
END
$$;
ALTER ROLE colloquy_owner LOGIN CREATEROLE INHERIT NOSUPERUSER NOCREATEDB NOREPLICATION NOBYPASSRLS;
ALTER ROLE colloquy LOGIN NOINHERIT NOSUPERUSER NOCREATEROLE NOCREATEDB NOREPLICATION NOBYPASSRLS;
REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC;
)sql";

constexpr const char* database_exists_sql = "SELECT FROM pg_database WHERE datname = 'colloquy'";

constexpr const char* create_database_sql =
    "CREATE DATABASE colloquy OWNER colloquy_owner TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER libc LOCALE 'C'";

// A failed statement's message can quote its values, and whoever sent the statement gets the message anyway: sessions
// leave it out of the log. The server's own processes, which are nobody's session or the superuser's, still write all.
constexpr const char* database_sql = R"sql(
REVOKE ALL ON DATABASE colloquy FROM PUBLIC;
GRANT CONNECT ON DATABASE colloquy TO colloquy;
ALTER DATABASE colloquy SET log_min_messages = 'log';
ALTER ROLE postgres SET log_min_messages = 'warning';
)sql";

constexpr const char* schema_sql = R"sql(
ALTER SCHEMA public OWNER TO colloquy_owner;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
)sql";

error failure(PGconn* c, const std::string& what) {
  std::string words = PQerrorMessage(c);
  words.resize(words.find_last_not_of(" \n") + 1);
  return {error_code::database_unavailable, "cannot " + what + " in the embedded database: " + words};
}

result<connection_ptr> connect(const std::string& socket_dir, const std::string& database) {
  const auto text = conninfo(socket_dir, "postgres", database) + " connect_timeout=20";
  connection_ptr c(PQconnectdb(text.c_str()));
  if (PQstatus(c.get()) != CONNECTION_OK)
    return failure(c.get(), "log in as the superuser");
  // What is there already is worth no word.
  PQsetNoticeProcessor(
      c.get(), [](void*, const char*) {}, nullptr);
  return c;
}

result<void> execute(PGconn* c, const char* sql, const std::string& what) {
  const result_ptr r(PQexec(c, sql));
  if (PQresultStatus(r.get()) != PGRES_COMMAND_OK)
    return failure(c, what);
  return {};
}

result<void> ensure_database(PGconn* c) {
  const result_ptr found(PQexec(c, database_exists_sql));
  if (PQresultStatus(found.get()) != PGRES_TUPLES_OK)
    return failure(c, "look for the database");
  if (PQntuples(found.get()) == 0)
    if (auto made = execute(c, create_database_sql, "create the database"); !made)
      return made;
  return execute(c, database_sql, "set up the database");
}

std::string quoted(const std::string& value) {
  std::string text = "'";
  for (const char c : value) {
    if (c == '\'' || c == '\\')
      text += '\\';
    text += c;
  }
  return text + "'";
}

} // namespace

std::string conninfo(const std::string& socket_dir, const std::string& user, const std::string& database) {
  return "host=" + quoted(socket_dir) + " port=5432 user=" + user + " dbname=" + database +
         " hostaddr='' options='' requirepeer='' sslmode=disable gssencmode=disable channel_binding=prefer "
         "target_session_attrs=any client_encoding=UTF8";
}

result<void> ensure_roles(const std::string& socket_dir) {
  auto maintenance = connect(socket_dir, "postgres");
  if (!maintenance)
    return maintenance.failure();
  if (auto made = execute(maintenance->get(), roles_sql, "create the roles"); !made)
    return made;
  if (auto made = ensure_database(maintenance->get()); !made)
    return made;
  auto own = connect(socket_dir, "colloquy");
  if (!own)
    return own.failure();
  return execute(own->get(), schema_sql, "set up the schema");
}

} // namespace colloquy::db::embedded
