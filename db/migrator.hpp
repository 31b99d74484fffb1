// Brings a database's schema to what this program needs, and tells how far a database is from it.
//
// Blocking, on a connection of its own, before any actor runs. Each migration is one transaction that first takes an
// advisory lock and then reads again what is recorded, so two programs at once migrate once; nothing but migrations
// takes advisory locks. What is done is recorded in the table schema_migrations of the schema, readable by the roles of
// the service (db/roles.hpp).
//
// Error codes of everything here: `invalid_request` the connection string or the schema's name is wrong; `conflict` the
// database is in another state than this program needs, and a person must change that (server too old, a newer or a
// changed schema, lacking rights: the message says which and, for rights, the SQL to run); `database_unavailable` no
// connection, or it broke; `deadline_exceeded` a lock or a statement took too long, nothing of it remains, try again;
// `internal` a migration failed. No message holds a password or rows' data.
#pragma once

#include "db/migrations.hpp"
#include "messages/error.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace colloquy::db {

/// The key of the advisory lock that every migration holds: "colloquy" as eight bytes of ASCII.
inline constexpr std::int64_t migration_lock_key = 0x636f6c6c6f717579;

struct migration_report {
  int version = 0;                   ///< the highest number that is recorded now
  std::vector<std::string> applied;  ///< by this call, in order, as "0001_sessions_events_turns"
  std::vector<std::string> prepared; ///< SQL that this call ran for schema, roles and grants
  std::vector<std::string> adopted;  ///< tables of stores that were made or adopted (db/document_table_adoption.hpp)
};

/// Makes schema, roles and grants where they are missing, then applies what is not recorded yet, in order. `logins` are
/// the login roles that the service connects as (for the embedded server "colloquy"); none means the connecting user.
///
/// All or nothing for each migration; those before a failing one stay. If the connection is lost while a migration
/// commits, the error is `database_unavailable` and says that the outcome is unknown; a second call finds out.
result<migration_report> migrate(const std::string& conninfo, std::string_view schema,
                                 const std::vector<std::string>& logins = {},
                                 std::span<const migration> all = embedded_migrations());

/// How a schema differs from what this program needs. Every list empty: the service can run on it.
struct schema_state {
  int version = 0;                  ///< the highest number recorded; 0: none
  int version_needed = 0;           ///< the highest number that the program knows
  std::vector<std::string> missing; ///< migrations to apply: run `colloquy migrate`
  std::vector<std::string> newer;   ///< recorded, but unknown here: this program is too old
  std::vector<std::string> changed; ///< sentences: applied with another text, or with a hole in their order
  std::vector<std::string> rights;  ///< SQL for an administrator, so that the connecting user can work as the roles
  std::vector<std::string> unsafe;  ///< sentences: what the roles may do and must not

  bool usable() const noexcept {
    return missing.empty() && newer.empty() && changed.empty() && rights.empty() && unsafe.empty();
  }

  /// One sentence a line; empty if usable. For `doctor`, logs and refusals at start.
  std::string describe(std::string_view schema) const;
};

/// Looks as the connecting user, which may be the service's own, and writes nothing. Fails (`conflict`) if the user may
/// not read what is recorded, or if schema_migrations belongs to another program.
result<schema_state> check_schema(const std::string& conninfo, std::string_view schema,
                                  std::span<const migration> all = embedded_migrations());

/// The whole of it as SQL for an administrator, in psql or any other client: no client's own commands in it. Each
/// migration is a transaction that refuses to run twice or out of order; the first part may be repeated. It works on
/// every supported version of the server. The user who runs it owns the tables.
result<std::string> print_sql(std::string_view schema, const std::vector<std::string>& logins = {},
                              std::span<const migration> all = embedded_migrations());

/// How every transaction that changes the schema begins: BEGIN, the time limits, the advisory lock, the schema.
std::string migration_head(std::string_view schema);

} // namespace colloquy::db
