// What the service asks the database about tenants' own roles and schemas, on its own connections.
#pragma once

#include "db/database_logins.hpp"
#include "db/sql_effects.hpp"
#include "db/statement.hpp"
#include "messages/database_session_requests.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace colloquy::db {

using column_type_key = std::pair<std::uint32_t, std::int32_t>; ///< a type's OID, and its modifier

/// What of a tenant's own making may run behind a statement's back, by name. A statement that has none of these names
/// in it, and calls nothing by itself that changes a session, leaves nothing behind.
struct database_hazards {
  std::string of_all{};               ///< why no statement can be trusted; "" if some can
  std::string of_changes{};           ///< why none that writes can
  std::set<std::string> names{};      ///< of functions, views, types and the like
  std::set<std::string> if_read{};    ///< of tables with what the planner may run: indexes, statistics, checks
  std::set<std::string> if_written{}; ///< of tables whose defaults, checks or triggers may do anything
};

unit read_database_hazards(const database_logins& logins, database_access access);
database_hazards decode_database_hazards(const unit_outcome& outcome);

/// Why the statement's session cannot go on with another backend; "" if it can.
std::string doubt_about(const sql_effects& effects, const database_hazards& hazards);

unit read_type_names(const std::vector<column_type_key>& types);

/// Names of types by their numbers and modifiers.
std::map<column_type_key, std::string> decode_type_names(const unit_outcome& outcome);

unit read_database_schema(const database_logins& logins, database_access access);
database_schema decode_database_schema(const unit_outcome& outcome);

/// Whether the role has settings of its own, which it can only have given itself.
unit read_role_settings(const std::string& role);
bool decode_role_settings(const unit_outcome& outcome);

/// Whose the backend with this number is; none if there is no such backend (any more).
unit read_backend_role(std::int32_t pid);
std::optional<std::string> decode_backend_role(const unit_outcome& outcome);

/// How values of a type are best shown.
sql_value_kind value_kind_of(std::uint32_t type) noexcept;

} // namespace colloquy::db
