#include "db/roles.hpp"

#include "db/embedded_roles.hpp"
#include "db/embedded_server.hpp"
#include "db/migrator.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/test_cluster.hpp"

#include <algorithm>
#include <future>

using namespace colloquy;
using namespace colloquy::db;
using namespace colloquy::test;

namespace {

const std::vector<std::string> logins{"colloquy"};

/// A server of the test's own, because roles belong to the whole server and here they must not be there yet.
class fresh_server {
public:
  fresh_server()
    : server_(start(folder_.path())) {}

  std::string conninfo(const std::string& login, const std::string& database = "colloquy") const {
    return embedded::conninfo(server_.socket_dir(), login, database);
  }
  std::string owner() const { return conninfo("colloquy_owner"); }
  test_connection superuser() const { return test_connection(conninfo("postgres")); }

private:
  static embedded_server start(const std::filesystem::path& folder) {
    embedded_options options;
    options.data_dir = folder;
    options.server_settings = {{"fsync", "off"}};
    auto started = embedded_server::start(options);
    INFO((started ? "" : started.failure().message));
    REQUIRE(started);
    return std::move(*started);
  }

  temp_dir folder_{"colloquy-test-roles"};
  embedded_server server_;
};

/// Puts right at the end what a test does to a role of the server that all tests share.
class changed_role {
public:
  changed_role(const test_database& database, const std::string& change, std::string undo)
    : conninfo_(database.superuser_conninfo())
    , undo_(std::move(undo)) {
    database.exec(change);
  }
  ~changed_role() { static_cast<void>(test_connection(conninfo_).sqlstate_of(undo_)); }
  changed_role(const changed_role&) = delete;
  changed_role& operator=(const changed_role&) = delete;

private:
  std::string conninfo_;
  std::string undo_;
};

} // namespace

TEST_CASE("migrating makes the two roles, harmless, and the service's login can become them", "[roles]") {
  fresh_server server;
  auto report = migrate(server.owner(), "public", logins);
  INFO((report ? "" : report.failure().message));
  REQUIRE(report);
  CHECK_FALSE(report->prepared.empty());
  auto superuser = server.superuser();
  CHECK(superuser.value("SELECT count(*) FROM pg_roles WHERE rolname IN ('colloquy_service', 'colloquy_system')"
                        " AND NOT (rolsuper OR rolbypassrls OR rolcreatedb OR rolcreaterole OR rolcanlogin"
                        " OR rolreplication)") == "2");
  test_connection service(server.conninfo("colloquy"));
  CHECK(service.sqlstate_of("SET ROLE colloquy_service") == "");
  CHECK(service.sqlstate_of("SET ROLE colloquy_system") == "");
  CHECK(service.sqlstate_of("SET ROLE colloquy_owner") == "42501");
}

TEST_CASE("programs that migrate two databases at once make the roles once", "[roles]") {
  fresh_server server;
  server.superuser().exec("CREATE DATABASE other OWNER colloquy_owner");
  std::vector<std::future<result<migration_report>>> programs;
  for (const std::string database : {"colloquy", "other", "colloquy", "other"})
    programs.push_back(std::async(std::launch::async, [&server, database] {
      return migrate(server.conninfo("colloquy_owner", database), "of_both", logins);
    }));
  for (auto& program : programs) {
    auto report = program.get();
    INFO((report ? "" : report.failure().message));
    CHECK(report);
  }
}

TEST_CASE("a login that may not make roles is told the SQL to run, and that SQL is enough", "[roles]") {
  fresh_server server;
  auto superuser = server.superuser();
  superuser.exec("ALTER ROLE colloquy_owner NOCREATEROLE");
  auto report = migrate(server.owner(), "public", logins);
  REQUIRE_FALSE(report);
  CHECK(report.failure().code == error_code::conflict);
  const auto message = report.failure().message;
  CHECK_THAT(message,
             ContainsSubstring("An administrator must run:\nCREATE ROLE colloquy_service NOLOGIN NOSUPERUSER"));
  CHECK_THAT(message, ContainsSubstring("\nGRANT colloquy_service TO \"colloquy\""));
  CHECK_THAT(message, ContainsSubstring("\nCREATE ROLE colloquy_system NOLOGIN NOSUPERUSER"));
  CHECK_THAT(message, ContainsSubstring("\nGRANT colloquy_system TO \"colloquy\""));
  CHECK(superuser.value("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'colloquy_s%'") == "0");
  CHECK(superuser.value("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == "0");

  superuser.exec(message.substr(message.find('\n')));
  auto after = migrate(server.owner(), "public", logins);
  INFO((after ? "" : after.failure().message));
  REQUIRE(after);
  CHECK(after->prepared.empty());
}

TEST_CASE("a schema that the login may not make or write is named with the SQL to run", "[roles]") {
  auto database = test_database::make();
  database.exec(
      "CREATE SCHEMA not_ours; GRANT USAGE ON SCHEMA not_ours TO colloquy_service, colloquy_system, colloquy");
  const std::vector<std::pair<std::string, std::string>> cases{
      {"not_there", "\nCREATE SCHEMA \"not_there\" AUTHORIZATION \"colloquy\";"},
      {"not_ours", "\nGRANT USAGE, CREATE ON SCHEMA \"not_ours\" TO \"colloquy\";"},
  };
  for (const auto& [schema, needed] : cases) {
    auto report = migrate(database.service_conninfo(), schema, logins);
    REQUIRE_FALSE(report);
    CHECK(report.failure().code == error_code::conflict);
    CHECK_THAT(report.failure().message, ContainsSubstring(needed));
  }
}

TEST_CASE("an existing role that could pass by row level security is refused", "[roles]") {
  struct harm {
    std::string change;
    std::string undo;
    std::string said;
  };
  const std::vector<harm> harms{
      {"ALTER ROLE colloquy_service BYPASSRLS", "ALTER ROLE colloquy_service NOBYPASSRLS", "NOBYPASSRLS"},
      {"ALTER ROLE colloquy_system SUPERUSER", "ALTER ROLE colloquy_system NOSUPERUSER", "NOSUPERUSER"},
      {"CREATE ROLE strong_role BYPASSRLS; GRANT strong_role TO colloquy_service", "DROP ROLE strong_role",
       "REVOKE strong_role FROM colloquy_service"},
      {"ALTER TABLE events OWNER TO colloquy_service", "ALTER TABLE events OWNER TO colloquy_owner", "owns the schema"},
  };
  auto database = test_database::make();
  for (const auto& one : harms) {
    const changed_role changed(database, one.change, one.undo);
    auto report = migrate(database.owner_conninfo(), "public", logins);
    REQUIRE_FALSE(report);
    CHECK(report.failure().code == error_code::conflict);
    CHECK_THAT(report.failure().message, ContainsSubstring(one.said));
    auto state = check_schema(database.service_conninfo(), "public");
    REQUIRE(state);
    CHECK_FALSE(state->usable());
    CHECK(state->unsafe.size() == 1);
  }
  CHECK(migrate(database.owner_conninfo(), "public", logins));
}

TEST_CASE("a login of the service that is not there is named", "[roles]") {
  auto database = test_database::make();
  auto report = migrate(database.owner_conninfo(), "public", {"no \"such\" login"});
  REQUIRE_FALSE(report);
  CHECK(report.failure().code == error_code::conflict);
  CHECK_THAT(report.failure().message, ContainsSubstring("\"no \"\"such\"\" login\""));
}

TEST_CASE("a login that cannot become the roles is told so when it looks at the schema", "[roles]") {
  auto database = test_database::make();
  // From 16 on a grant is taken back by who gave it.
  const changed_role alone(database, "SET ROLE colloquy_owner; REVOKE colloquy_service, colloquy_system FROM colloquy",
                           "SET ROLE colloquy_owner; GRANT colloquy_service, colloquy_system TO colloquy");
  auto state = check_schema(database.service_conninfo(), "public");
  REQUIRE_FALSE(state);
  CHECK(state.failure().code == error_code::conflict);
  CHECK_THAT(state.failure().message, ContainsSubstring("\nGRANT colloquy_service TO \"colloquy\""));
  CHECK_THAT(state.failure().message, ContainsSubstring("\nGRANT colloquy_system TO \"colloquy\""));
}
