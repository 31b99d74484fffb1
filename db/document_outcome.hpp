// What units that write documents have in common. Inside db/ only.
#pragma once

#include "db/document_queries.hpp"
#include "db/document_sql.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace colloquy::db {

/// The tenant and, if it is in a user's name, the user.
unit begin_documents_unit(const tenant_id& tenant, const std::optional<std::string>& as_user);

// The first column of the last rows of every unit that writes documents: what became of it.
namespace states {
inline constexpr std::string_view done = "done";
inline constexpr std::string_view same = "same"; ///< matched, and is as it was
inline constexpr std::string_view none = "none"; ///< nothing matched
inline constexpr std::string_view taken = "taken";
inline constexpr std::string_view race = "race";
inline constexpr std::string_view forbidden = "forbidden";
inline constexpr std::string_view too_large = "too large";
inline constexpr std::string_view repeated = "repeated";
} // namespace states

/// The error of a state that is one.
std::optional<error> refusal_of(std::string_view state);
error taken_error(const std::string& id);
/// The same as to_error, and what PostgreSQL says of an id that is taken.
error write_error(const db_failure& failure);

/// The row of a collection: made if there is none; locked against other upserts.
statement_call make_collection_call(const tenant_id& tenant, const std::string& collection);
statement_call lock_collection_call(const tenant_id& tenant, const std::string& collection);

/// The relation `home`, which has the collection's row, kept from being deleted.
std::string home_sql(const collection_sql& collection);
/// Inserts `data`, an expression, for each row of `rest`, in which `home AS h` is.
std::string insert_sql(const collection_sql& collection, const std::string& data, const std::string& rest);
/// A relation, after a comma, that takes away a collection which was made for nothing; `outcome` tells.
std::string unmake_sql(const collection_sql& collection);

} // namespace colloquy::db
