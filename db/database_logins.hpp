// The login roles of a tenant's database sessions: made, set right, and their backends ended. Blocking; so it is done
// away from actors.
//
// Nobody keeps a role's password: whoever is about to log in for the first time sets a new one, which the server gets
// as a SCRAM verifier only. Another process that finds its own no longer right does the same.
#pragma once

#include "db/resolve.hpp"
#include "messages/database_session_requests.hpp"
#include "messages/error.hpp"
#include "messages/ids.hpp"

#include <cstdint>
#include <string>

namespace colloquy::db {

/// Where roles are made, and where they log in.
struct database_logins_place {
  std::string owner_conninfo; ///< who owns the schema and may make roles; a secret
  std::string schema;
  address_preference preferred = address_preference::any; ///< for names of hosts, which are looked up here
};

struct database_login {
  std::string role;
  std::string conninfo; ///< a secret
};

struct database_logins {
  database_login read_only;
  database_login read_write;
  std::string own_schema;   ///< the tenant's
  std::string views_schema; ///< of its conversations
  std::string taken_away{}; ///< what was changed for everybody in the database, for the log; "" if nothing was

  const database_login& of(database_access access) const {
    return access == database_access::read_only ? read_only : read_write;
  }
};

/// Makes what is missing, and sets new passwords. Errors: forbidden, if the database does not give such roles, with
/// what an administrator can do about it; database_unavailable, deadline_exceeded (try again).
result<database_logins> ensure_database_logins(const database_logins_place& at, const tenant_id& tenant);

/// Whether there is a backend of the role with this number, which then was told to end. Errors: database_unavailable.
result<bool> end_database_backend(const database_logins_place& at, const std::string& role, std::int32_t backend_pid);

/// What the server keeps of a password: it proves it and does not tell it (RFC 5803). In ASCII letters and digits.
std::string scram_verifier(const std::string& password);

} // namespace colloquy::db
