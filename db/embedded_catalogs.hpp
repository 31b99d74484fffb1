// What everybody may see and do in a new database, and tenants' own roles must not: other tenants' names in the
// catalogs, what runs on other backends, locks whose keys all share, large objects.
#pragma once

#include <string>

#include "messages/error.hpp"

namespace colloquy::db::embedded {

/// After migrating, at every start: takes it from everybody and gives it to the roles of the service. Can be repeated.
/// Blocks for some milliseconds.
result<void> close_catalogs(const std::string& socket_dir, const std::string& database);

/// The same as SQL, for the superuser of another server.
extern const char* const close_catalogs_sql;

} // namespace colloquy::db::embedded
