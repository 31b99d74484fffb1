// Making the tables of stores that have a prefix, or adopting those that are there with their documents; and telling
// what a database lacks of them. Blocking, as db/migrator.hpp, whose lock it takes: two programs at once do it once.
#pragma once

#include "db/document_tables.hpp"
#include "messages/error.hpp"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace colloquy::db {

/// After migrate(). All or nothing; what is in place already is left as it is. Gives the names of the tables that were
/// made or adopted. Rows of other programs become the tenant "default"'s; who upserts must name the whole key then, for
/// an id alone is not unique among tenants, and must not be: it would tell one of another's. Errors: as migrate();
/// conflict, too, if a table belongs to somebody else or holds what is no document.
result<std::vector<std::string>> adopt_store_tables(const std::string& conninfo, std::string_view schema,
                                                    const document_tables& tables);

/// The same as SQL for an administrator, to be run after print_sql()'s; "" without such tables.
std::string print_adoption_sql(std::string_view schema, const document_tables& tables);

/// What is missing of the tables, as words for people. Looks as the connecting user and writes nothing.
result<std::vector<std::string>> find_missing_of_store_tables(const std::string& conninfo, std::string_view schema,
                                                              const document_tables& tables);

/// A query for what is missing of the tables, as words for people: one column, one row each. Its parameters are the
/// schema and what store_tables_parameter() gives.
extern const char* const missing_of_store_tables;
std::string store_tables_parameter(std::span<const store_table> tables);

} // namespace colloquy::db
