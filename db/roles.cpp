#include "db/roles.hpp"

#include <algorithm>
#include <array>

namespace colloquy::db {

namespace {

constexpr std::array roles{service_role, system_role};

// Enough for every step of another program to get in between once.
constexpr int attempts_max = 5;

constexpr int version_with_set_option = 160000;

std::string create_role(std::string_view role) {
  return "CREATE ROLE " + std::string(role) + " NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION;";
}

std::string grant_role(std::string_view role, std::string_view login_identifier, bool with_set_option) {
  return "GRANT " + std::string(role) + " TO " + std::string(login_identifier) +
         (with_set_option ? " WITH SET TRUE, INHERIT FALSE;" : ";");
}

std::string grant_usage(std::string_view role, std::string_view schema) {
  return "GRANT USAGE ON SCHEMA " + quote_identifier(schema) + " TO " + std::string(role) + ";";
}

struct place {
  std::string user;       ///< who the session is
  std::string schema_oid; ///< "" if there is no such schema
  bool may_create = false;
};

result<place> find_place(migrator_session& session, const std::string& schema) {
  auto found = session.query("SELECT session_user, n.oid, has_schema_privilege(n.oid, 'CREATE')"
                             "  FROM (VALUES (1)) AS one LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = $1",
                             {schema});
  if (found.failed)
    return to_error(*found.failed, "cannot look for the schema");
  const auto& row = found.rows.front();
  return place{row[0].value_or(""), row[1].value_or(""), row[2].value_or("") == "t"};
}

result<bool> role_exists(migrator_session& session, const std::string& name) {
  auto found = session.query("SELECT FROM pg_catalog.pg_roles WHERE rolname = $1", {name});
  if (found.failed)
    return to_error(*found.failed, "cannot look for the role " + quote_identifier(name));
  return !found.rows.empty();
}

result<bool> can_become(migrator_session& session, const std::string& login, std::string_view role) {
  const auto* way = session.server_version() >= version_with_set_option ? "SET" : "MEMBER";
  auto found = session.query("SELECT pg_has_role($1::name, $2::name, $3)", {login, std::string(role), way});
  if (found.failed)
    return to_error(*found.failed, "cannot see the members of " + std::string(role));
  return found.scalar() == "t";
}

result<bool> may_use_schema(migrator_session& session, std::string_view role, const place& at) {
  if (at.schema_oid.empty())
    return false;
  auto found =
      session.query("SELECT has_schema_privilege($1::name, $2::oid, 'USAGE')", {std::string(role), at.schema_oid});
  if (found.failed)
    return to_error(*found.failed, "cannot see the rights of " + std::string(role));
  return found.scalar() == "t";
}

// What the role is, and whom it could become: a member of the tables' owner could switch row level security off.
constexpr const char* harm_sql = R"sql(
WITH owners AS (
  SELECT nspowner AS oid FROM pg_catalog.pg_namespace WHERE nspname = $2
  UNION
  SELECT c.relowner FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   WHERE n.nspname = $2 AND c.relkind IN ('r', 'p', 'v', 'm')
)
SELECT concat_ws(' ', CASE WHEN r.rolsuper THEN 'NOSUPERUSER' END, CASE WHEN r.rolbypassrls THEN 'NOBYPASSRLS' END,
                 CASE WHEN r.rolcreatedb THEN 'NOCREATEDB' END, CASE WHEN r.rolcreaterole THEN 'NOCREATEROLE' END,
                 CASE WHEN r.rolreplication THEN 'NOREPLICATION' END),
       r.oid IN (SELECT oid FROM owners),
       (SELECT string_agg(quote_ident(o.rolname), ', ' ORDER BY o.rolname) FROM pg_catalog.pg_roles o
         WHERE o.oid <> r.oid AND NOT r.rolsuper AND pg_has_role(r.oid, o.oid, 'MEMBER')
           AND (o.rolsuper OR o.rolbypassrls OR o.rolcreaterole OR o.oid IN (SELECT oid FROM owners)
                OR o.rolname IN ('pg_execute_server_program', 'pg_write_server_files', 'pg_read_server_files')))
  FROM pg_catalog.pg_roles r WHERE r.rolname = $1
)sql";

result<void> find_harm(migrator_session& session, std::string_view role, const std::string& schema,
                       std::vector<std::string>& harmful) {
  const std::string name(role);
  auto found = session.query(harm_sql, {name, schema});
  if (found.failed)
    return to_error(*found.failed, "cannot see the attributes of " + name);
  if (found.rows.empty())
    return {};
  const auto& row = found.rows.front();
  if (const auto attributes = row[0].value_or(""); !attributes.empty())
    harmful.push_back("role " + name + " has attributes that take row level security away: ALTER ROLE " + name + " " +
                      attributes + ";");
  if (row[1].value_or("") == "t")
    harmful.push_back("role " + name + " owns the schema " + quote_identifier(schema) +
                      " or something in it: give it to the login that migrates (ALTER ... OWNER TO ...)");
  if (row[2])
    harmful.push_back("role " + name + " can become roles with more rights: REVOKE " + *row[2] + " FROM " + name + ";");
  return {};
}

result<void> inspect_role(migrator_session& session, std::string_view role, const place& at, const role_needs& needs,
                          const std::vector<std::string>& logins, role_state& state) {
  auto exists = role_exists(session, std::string(role));
  if (!exists)
    return exists.failure();
  if (*exists) {
    if (auto looked = find_harm(session, role, needs.schema, state.harmful); !looked)
      return looked;
  } else {
    state.missing.push_back(create_role(role));
  }
  for (const auto& login : logins) {
    auto member = *exists ? can_become(session, login, role) : result<bool>(false);
    if (!member)
      return member.failure();
    if (!*member)
      state.missing.push_back(
          grant_role(role, quote_identifier(login), session.server_version() >= version_with_set_option));
  }
  auto usage = *exists ? may_use_schema(session, role, at) : result<bool>(false);
  if (!usage)
    return usage.failure();
  if (!*usage)
    state.missing.push_back(grant_usage(role, needs.schema));
  return {};
}

// One statement, undone alone if it fails.
std::optional<sql_failure> attempt(migrator_session& session, const std::string& statement) {
  if (auto marked = session.run("SAVEPOINT role_step"); marked.failed)
    return marked.failed;
  auto done = session.run(statement);
  auto closed = session.run(done.failed ? "ROLLBACK TO SAVEPOINT role_step" : "RELEASE SAVEPOINT role_step");
  return done.failed ? done.failed : closed.failed;
}

// insufficient_privilege; and undefined_object and invalid_schema_name, which follow when something could not be made.
bool is_lack(const sql_failure& failed) {
  return failed.sqlstate == "42501" || failed.sqlstate == "42704" || failed.sqlstate == "3F000";
}

error harmful_error(const role_state& state) {
  std::string message = "the database's roles are not safe to work as";
  for (const auto& sentence : state.harmful)
    message += "\n" + sentence;
  return {error_code::conflict, std::move(message)};
}

} // namespace

result<role_state> inspect_roles(migrator_session& session, const role_needs& needs) {
  auto at = find_place(session, needs.schema);
  if (!at)
    return at.failure();
  role_state state;
  if (at->schema_oid.empty())
    state.missing.push_back("CREATE SCHEMA " + quote_identifier(needs.schema) + " AUTHORIZATION " +
                            quote_identifier(at->user) + ";");
  else if (needs.creates && !at->may_create)
    state.missing.push_back("GRANT USAGE, CREATE ON SCHEMA " + quote_identifier(needs.schema) + " TO " +
                            quote_identifier(at->user) + ";");
  const auto logins = needs.logins.empty() ? std::vector{at->user} : needs.logins;
  for (const auto& login : logins) {
    auto exists = role_exists(session, login);
    if (!exists)
      return exists.failure();
    if (!*exists)
      return error{error_code::conflict, "there is no login role " + quote_identifier(login) +
                                             ", which the service is to log in as: make it first, with its password"};
  }
  for (const auto role : roles)
    if (auto looked = inspect_role(session, role, *at, needs, logins, state); !looked)
      return looked.failure();
  return state;
}

result<std::vector<std::string>> ensure_roles(migrator_session& session, const role_needs& needs) {
  std::vector<std::string> done;
  bool again = true;
  for (int attempts = 0; again && attempts < attempts_max; ++attempts) {
    auto state = inspect_roles(session, needs);
    if (!state)
      return state.failure();
    if (!state->harmful.empty())
      return harmful_error(*state);
    again = false;
    for (const auto& statement : state->missing) {
      auto failed = attempt(session, statement);
      if (!failed)
        done.push_back(statement);
      else if (!failed->lost && is_race(*failed))
        again = true;
      else if (failed->lost || !is_lack(*failed))
        return to_error(*failed, "cannot set up the roles with " + statement);
    }
  }
  // A grant without the right to give it is only warned of: what counts is what is there now.
  auto state = inspect_roles(session, needs);
  if (!state)
    return state.failure();
  if (!state->harmful.empty())
    return harmful_error(*state);
  if (!state->missing.empty())
    return error{error_code::conflict,
                 for_administrator("the login that migrates may not set up the roles that the service works as",
                                   state->missing)};
  return done;
}

std::string for_administrator(std::string_view sentence, const std::vector<std::string>& statements) {
  std::string out(sentence);
  out += ". An administrator must run:";
  for (const auto& statement : statements)
    out += "\n" + statement;
  return out;
}

std::string roles_script(const role_needs& needs) {
  const auto schema = quote_literal(needs.schema);
  std::string body = "BEGIN\n  IF to_regnamespace(" + quote_literal(quote_identifier(needs.schema)) +
                     ") IS NULL THEN\n" + "    CREATE SCHEMA " + quote_identifier(needs.schema) + ";\n  END IF;\n";
  for (const auto role : roles) {
    const auto name = std::string(role);
    body += "  IF to_regrole('" + name + "') IS NULL THEN\n    BEGIN\n      " + create_role(role) +
            "\n    EXCEPTION WHEN duplicate_object OR unique_violation THEN\n" +
            "      NULL; -- another program made it in this moment\n    END;\n  END IF;\n";
    body += "  IF NOT has_schema_privilege('" + name + "', " + schema + ", 'USAGE') THEN\n    " +
            grant_usage(role, needs.schema) + "\n  END IF;\n";
  }
  body += "END";
  std::string out = "DO " + quote_dollar(body) + ";\n";
  for (const auto role : roles) {
    const auto name = std::string(role);
    const auto logins = needs.logins.empty() ? std::vector<std::string>{""} : needs.logins;
    for (const auto& login : logins) {
      const auto who = login.empty() ? std::string("session_user") : quote_literal(login) + "::name";
      const auto to = login.empty() ? std::string("SESSION_USER") : quote_identifier(login);
      // EXECUTE, because a server before 16 cannot even read the options.
      out += "DO " +
             quote_dollar(
                 "BEGIN\n  IF current_setting('server_version_num')::int >= 160000 THEN\n    IF NOT pg_has_role(" +
                 who + ", '" + name + "', 'SET') THEN\n      EXECUTE " + quote_literal(grant_role(role, to, true)) +
                 ";\n    END IF;\n  ELSIF NOT pg_has_role(" + who + ", '" + name + "', 'MEMBER') THEN\n    EXECUTE " +
                 quote_literal(grant_role(role, to, false)) + ";\n  END IF;\nEND") +
             ";\n";
    }
  }
  return out;
}

} // namespace colloquy::db
