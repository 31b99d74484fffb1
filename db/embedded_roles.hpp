// What every embedded cluster holds before the first migration: two roles and one database.
#pragma once

#include <string>

#include "messages/error.hpp"

namespace colloquy::db::embedded {

/// A connection string for the private socket. What the environment says about other servers (PG*) does not reach it.
std::string conninfo(const std::string& socket_dir, const std::string& user, const std::string& database);

/// Makes what is missing and sets right what differs, at every start: an earlier first start may have ended midway.
/// Blocks for some milliseconds.
result<void> ensure_roles(const std::string& socket_dir);

} // namespace colloquy::db::embedded
