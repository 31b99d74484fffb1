#include "db/migrator.hpp"

#include "db/migrator_history.hpp"
#include "db/migrator_session.hpp"
#include "db/roles.hpp"

#include <utility>

namespace colloquy::db {

namespace {

// Another program's migration is waited for as long as one statement of it may take.
constexpr const char* lock_wait = "15min";
constexpr const char* statement_time = "15min";
// Short: whoever waits for a table's lock makes everybody behind it wait too.
constexpr const char* table_lock_wait = "10s";

// READ COMMITTED, because what is read after the lock must be what another program committed while we waited for it:
// under a stricter default the snapshot would be older than the lock. pg_temp is named last, else it comes first.
std::string transaction_head(std::string_view schema) {
  return "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;\n"
         "SET LOCAL standard_conforming_strings = on;\n"
         "SET LOCAL client_min_messages = warning;\n"
         "SET LOCAL statement_timeout = '" +
         std::string(statement_time) + "';\nSET LOCAL lock_timeout = '" + lock_wait +
         "';\nSELECT pg_advisory_xact_lock(" + std::to_string(migration_lock_key) + ");\nSET LOCAL lock_timeout = '" +
         table_lock_wait + "';\nSET LOCAL search_path = " + quote_identifier(schema) + ", pg_temp;\n";
}

result<void> check_schema_name(std::string_view schema) {
  constexpr size_t bytes_max = 63; // PostgreSQL cuts a longer name, and then two could be one
  if (schema.empty() || schema.size() > bytes_max || schema.find('\0') != std::string_view::npos ||
      schema.starts_with("pg_") || schema == "information_schema")
    return error{error_code::invalid_request,
                 "the schema's name is " + quote_identifier(schema) +
                     "; allowed are 1 to 63 bytes that do not begin with pg_ and are not information_schema"};
  return {};
}

// The server counts characters; people look for a line.
std::string place_in(std::string_view text, int position) {
  if (position < 1)
    return "";
  int line = 1;
  int column = 1;
  int at = 1;
  for (const char c : text) {
    if (at == position)
      break;
    if ((static_cast<unsigned char>(c) & 0xc0u) == 0x80u)
      continue;
    ++at;
    line += c == '\n' ? 1 : 0;
    column = c == '\n' ? 1 : column + 1;
  }
  return " at line " + std::to_string(line) + ", column " + std::to_string(column);
}

/// Rolls back unless it was committed.
class transaction {
public:
  static result<transaction> begin(migrator_session& session, std::string_view schema) {
    auto begun = session.run(transaction_head(schema));
    if (begun.failed) {
      session.run("ROLLBACK");
      return to_error(*begun.failed, "cannot take the lock that migrations hold");
    }
    return transaction(session);
  }

  transaction(transaction&& other) noexcept
    : session_(std::exchange(other.session_, nullptr)) {}
  transaction& operator=(transaction&&) = delete;
  ~transaction() {
    if (session_ != nullptr)
      session_->run("ROLLBACK");
  }

  result<void> commit(const std::string& what) {
    auto ended = std::exchange(session_, nullptr)->run("COMMIT");
    if (ended.failed && ended.failed->lost)
      return error{error_code::database_unavailable, "the connection was lost while " + what +
                                                         " was committed: the outcome is unknown, whether it is in "
                                                         "place or not; run it again, which looks first (" +
                                                         ended.failed->text + ")"};
    if (ended.failed)
      return to_error(*ended.failed, what + " was not committed");
    if (ended.tag != "COMMIT")
      return error{error_code::internal, what + " was not committed: the server answered " + ended.tag};
    return {};
  }

private:
  explicit transaction(migrator_session& session)
    : session_(&session) {}

  migrator_session* session_;
};

struct plan {
  std::string schema;
  std::span<const migration> all;
  std::vector<std::string> logins;
};

result<history_comparison> compare(migrator_session& session, const plan& p) {
  auto recorded = read_history(session, p.schema);
  if (!recorded)
    return recorded.failure();
  auto compared = compare_history(*recorded, p.all);
  if (auto checked = check_history(compared, *recorded, p.all, p.schema); !checked)
    return checked.failure();
  return compared;
}

// Schema, roles and the table of what is done, in a short transaction of its own: other databases' programs may wait
// for the roles to be committed. Tells what it ran.
result<std::vector<std::string>> prepare(migrator_session& session, const plan& p) {
  auto open = transaction::begin(session, p.schema);
  if (!open)
    return open.failure();
  auto compared = compare(session, p);
  if (!compared)
    return compared.failure();
  auto prepared = ensure_roles(session, {p.schema, p.logins, !compared->pending.empty()});
  if (!prepared)
    return prepared.failure();
  if (!compared->pending.empty())
    if (auto made = session.run(history_table_script()); made.failed)
      return to_error(*made.failed, "cannot make the table schema_migrations");
  if (auto committed = open->commit("the setting up of schema and roles"); !committed)
    return committed.failure();
  return prepared;
}

result<void> apply(migrator_session& session, const migration& one) {
  const auto name = "migration " + title(one.number, one.name);
  auto done = session.run(std::string(one.sql));
  if (done.failed)
    return to_error(*done.failed, name + " failed" + place_in(one.sql, done.failed->position) +
                                      (done.failed->lost ? "" : ", nothing of it remains"));
  if (!session.in_transaction())
    return error{error_code::internal,
                 name + " ended the transaction that it runs in: what it did before that remains"};
  if (auto recorded = session.run(record_script(one)); recorded.failed)
    return to_error(*recorded.failed, name + " could not be recorded, nothing of it remains");
  return {};
}

// The next migration, whichever that is once the lock is held; none: all are applied.
result<const migration*> apply_next(migrator_session& session, const plan& p) {
  auto open = transaction::begin(session, p.schema);
  if (!open)
    return open.failure();
  auto compared = compare(session, p);
  if (!compared)
    return compared.failure();
  if (compared->pending.empty())
    return nullptr;
  const auto* next = compared->pending.front();
  if (auto applied = apply(session, *next); !applied)
    return applied.failure();
  if (auto committed = open->commit("migration " + title(next->number, next->name)); !committed)
    return committed.failure();
  return next;
}

result<void> check_arguments(std::string_view schema, std::span<const migration> all) {
  if (auto named = check_schema_name(schema); !named)
    return named;
  return check_migrations(all);
}

// The service's login may inherit nothing and then reads as the role; whoever cannot become the role reads as itself.
void become_service_role(migrator_session& session) {
  if (session.run("SAVEPOINT reader").failed)
    return;
  if (session.run("SET LOCAL ROLE " + std::string(service_role)).failed)
    session.run("ROLLBACK TO SAVEPOINT reader");
}

result<schema_state> look(migrator_session& session, std::string_view schema, std::span<const migration> all) {
  schema_state state;
  auto roles = inspect_roles(session, {std::string(schema), {}, false});
  if (!roles)
    return roles.failure();
  state.rights = std::move(roles->missing);
  state.unsafe = std::move(roles->harmful);
  become_service_role(session);
  auto recorded = read_history(session, schema);
  if (!recorded && !state.rights.empty())
    return error{error_code::conflict, for_administrator(recorded.failure().message, state.rights)};
  if (!recorded)
    return recorded.failure();
  auto compared = compare_history(*recorded, all);
  for (const auto* one : compared.pending)
    state.missing.push_back(title(one->number, one->name));
  state.newer = std::move(compared.newer);
  state.changed = std::move(compared.changed);
  state.version = recorded->empty() ? 0 : recorded->back().number;
  state.version_needed = all.empty() ? 0 : all.back().number;
  return state;
}

void add_lines(std::string& out, const std::string& sentence, const std::vector<std::string>& lines) {
  if (lines.empty())
    return;
  out += (out.empty() ? "" : "\n") + sentence;
  for (const auto& line : lines)
    out += "\n  " + line;
}

} // namespace

std::string migration_head(std::string_view schema) {
  return transaction_head(schema);
}

result<migration_report> migrate(const std::string& conninfo, std::string_view schema,
                                 const std::vector<std::string>& logins, std::span<const migration> all) {
  if (auto checked = check_arguments(schema, all); !checked)
    return checked.failure();
  auto session = migrator_session::open(conninfo);
  if (!session)
    return session.failure();
  const plan p{std::string(schema), all, logins};
  migration_report report;
  auto prepared = prepare(*session, p);
  if (!prepared)
    return prepared.failure();
  report.prepared = std::move(*prepared);
  report.version = all.empty() ? 0 : all.back().number;
  for (;;) {
    auto applied = apply_next(*session, p);
    if (!applied)
      return applied.failure();
    if (*applied == nullptr)
      return report;
    report.applied.push_back(title((*applied)->number, (*applied)->name));
  }
}

result<schema_state> check_schema(const std::string& conninfo, std::string_view schema,
                                  std::span<const migration> all) {
  if (auto checked = check_arguments(schema, all); !checked)
    return checked.failure();
  auto session = migrator_session::open(conninfo);
  if (!session)
    return session.failure();
  auto begun = session->run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '10s';");
  if (begun.failed)
    return to_error(*begun.failed, "cannot look at the schema");
  auto state = look(*session, schema, all);
  session->run("ROLLBACK");
  return state;
}

std::string schema_state::describe(std::string_view schema) const {
  std::string out;
  const auto where = "schema " + quote_identifier(schema);
  add_lines(out, where + " lacks migrations; run `colloquy migrate`:", missing);
  add_lines(out, where + " is newer than this program, which does not know these migrations:", newer);
  add_lines(out, where + " was not made by this program's migrations:", changed);
  add_lines(out, "rights are missing; an administrator must run:", rights);
  add_lines(out, "the database's roles are not safe to work as:", unsafe);
  return out;
}

result<std::string> print_sql(std::string_view schema, const std::vector<std::string>& logins,
                              std::span<const migration> all) {
  if (auto checked = check_arguments(schema, all); !checked)
    return checked.failure();
  std::string out = "-- Colloquy's roles and schema, up to migration " +
                    (all.empty() ? "none" : title(all.back().number, all.back().name)) +
                    ".\n-- Run it in the database that the service uses, as the user who shall own the tables.\n"
                    "-- It needs the right to create roles. Stop at the first error.\n\n";
  out += transaction_head(schema) + roles_script({std::string(schema), logins, true}) + history_table_script() +
         "COMMIT;\n";
  for (const auto& one : all) {
    out += "\n-- Migration " + title(one.number, one.name) + "\n" + transaction_head(schema) + guard_script(one) +
           std::string(one.sql);
    if (!one.sql.ends_with('\n'))
      out += '\n';
    out += record_script(one) + "COMMIT;\n";
  }
  return out;
}

} // namespace colloquy::db
