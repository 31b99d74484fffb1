// Whether all is there that the program's migrations make. Blocking, within a deadline.
#pragma once

#include "db/doctor_facts.hpp"
#include "db/doctor_session.hpp"
#include "db/document_tables.hpp"
#include "db/migrations.hpp"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace colloquy::db::doctor {

/// Something that a migration makes and that the server's catalog can be asked for.
struct schema_object {
  enum class sort { table, view, index, policy, function, trigger, row_security, forced_row_security };
  sort what = sort::table;
  std::string name;
  std::string table{}; ///< of a policy or trigger

  bool operator==(const schema_object&) const = default;
};

/// For a person: "index idx_sessions_user_id", "policy writers_of_service on writers".
std::string to_string(const schema_object& object);

/// What the migrations leave behind, in the order of making: read out of their text, so that it cannot fall behind
/// them. Understands CREATE, DROP and ALTER TABLE ... ROW LEVEL SECURITY at the start of a statement, with unqualified
/// names, as our migrations are written; what stands in function bodies and comments does not count.
std::vector<schema_object> expected_objects(std::span<const migration> all = embedded_migrations());

/// What migrations are recorded (on a connection of its own, for check_schema does it), and what of the above the
/// catalog has, and of the tables of stores that have a prefix. With a connection that is lost only the first is told.
schema_facts look_at_schema(session& connection, const std::string& conninfo, const std::string& schema,
                            milliseconds limit = probe_limit, const document_tables& tables = {});

} // namespace colloquy::db::doctor
