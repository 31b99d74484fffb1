// The two roles that the service works as, and what each login needs to become them.
//
//   colloquy_service  everything that a tenant asks for; sees the tenants that its transaction has set
//   colloquy_system   what must see all tenants, by policies on named tables
//
// Neither can log in, owns anything or passes by row level security. A login reaches them by SET ROLE: on PostgreSQL 15
// membership is enough, from 16 on it is granted WITH SET TRUE, INHERIT FALSE. Roles belong to the whole cluster, while
// the migrator's lock holds within one database only: two programs may make them at once, and the later one looks
// again.
#pragma once

#include "db/migrator_session.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace colloquy::db {

inline constexpr std::string_view service_role = "colloquy_service";
inline constexpr std::string_view system_role = "colloquy_system";

/// Where the schema lies and who must be able to become the roles.
struct role_needs {
  std::string schema;
  std::vector<std::string> logins; ///< names of login roles; the session's own user, if there are none
  bool creates = false;            ///< the session's user is about to create tables in the schema
};

struct role_state {
  std::vector<std::string> missing; ///< SQL statements, in order, that would make it right; each ends with ;
  std::vector<std::string>
      harmful; ///< sentences: what an existing role may do and must not, with the SQL that mends it
};

/// Looks and changes nothing. A schema that is not there counts as missing.
result<role_state> inspect_roles(migrator_session& session, const role_needs& needs);

/// Makes the schema, the roles and the grants that are missing, inside the session's open transaction, and tells the
/// statements that it ran. Fails with `conflict` if an existing role is harmful, if a login does not exist, or if the
/// session's user may not do it: the message then lists the SQL for an administrator. `conflict` because the database
/// is in another state than this program needs, and a person, not a repetition, must change that.
result<std::vector<std::string>> ensure_roles(migrator_session& session, const role_needs& needs);

/// The same as SQL text that may be run again and again, for every supported version of the server.
std::string roles_script(const role_needs& needs);

/// "<sentence>. An administrator must run:" and the statements, one a line.
std::string for_administrator(std::string_view sentence, const std::vector<std::string>& statements);

} // namespace colloquy::db
