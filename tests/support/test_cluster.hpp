// A PostgreSQL server for the test programs that need one, and databases of it for single tests.
//
// The first test that asks starts one embedded server for the whole program, in a folder of its own; it stops at exit
// and never outlives the program. Each test gets a fresh copy of one migrated database, which takes some tens of
// milliseconds. Roles belong to the server: a test that changes one must put it back.
#pragma once

#include "db/libpq_handles.hpp"

#include <stdexcept>
#include <string>
#include <sys/types.h>
#include <utility>
#include <vector>

namespace colloquy::test {

/// What the server refused, for tests that want to know why.
class sql_error : public std::runtime_error {
public:
  sql_error(std::string state, const std::string& message)
    : std::runtime_error(message + " (" + state + ")")
    , sqlstate(std::move(state)) {}

  const std::string sqlstate; ///< empty if the connection broke
};

/// Rows as text; a null is "".
using text_rows = std::vector<std::vector<std::string>>;

/// A blocking connection. Everything throws sql_error if it fails.
class test_connection {
public:
  explicit test_connection(const std::string& conninfo);

  /// One or more statements; the rows are the last one's.
  text_rows exec(const std::string& sql);

  /// The first column of the first row; "" if there is none.
  std::string value(const std::string& sql);

  /// The SQLSTATE that the statement fails with; "" if it does not.
  std::string sqlstate_of(const std::string& sql);

  PGconn* raw() const { return held_.get(); }
  int backend_pid() const { return PQbackendPID(held_.get()); }

private:
  db::connection_ptr held_;
};

/// A database that is dropped with the object, whoever is still connected. Move-only.
class test_database {
public:
  /// Migrated, in the schema `public`, as `colloquy migrate` does it for the embedded server; without rows.
  static test_database make();

  /// Not migrated. It belongs to colloquy_owner.
  static test_database make_empty();

  test_database(test_database&& other) noexcept
    : name_(std::exchange(other.name_, {})) {}
  test_database& operator=(test_database&& other) noexcept {
    std::swap(name_, other.name_);
    return *this;
  }
  ~test_database();

  const std::string& name() const { return name_; }
  /// As `colloquy`, the login of the service, who inherits nothing and works as a role that it SETs.
  std::string service_conninfo() const { return conninfo_as("colloquy"); }
  /// As `colloquy_owner`, who migrates.
  std::string owner_conninfo() const { return conninfo_as("colloquy_owner"); }
  std::string superuser_conninfo() const { return conninfo_as("postgres"); }
  /// As any login role of the server, and over its unix socket.
  std::string conninfo_as(const std::string& login) const;

  /// As superuser, on a new connection. Throws sql_error.
  text_rows exec(const std::string& sql) const;
  std::string value(const std::string& sql) const;

private:
  explicit test_database(std::string name)
    : name_(std::move(name)) {}

  std::string name_;
};

/// The server's first process. Starts it if it does not run yet.
pid_t postmaster_pid();

} // namespace colloquy::test
