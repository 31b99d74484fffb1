#include "tests/support/test_cluster.hpp"

#include "db/embedded_catalogs.hpp"
#include "db/embedded_roles.hpp"
#include "db/embedded_server.hpp"
#include "db/migrator.hpp"
#include "tests/support/temp_dir.hpp"

#include <atomic>
#include <cstdlib>
#include <memory>
#include <optional>
#include <unistd.h>

namespace colloquy::test {

namespace {

constexpr const char* template_name = "colloquy_test_template";

std::string sqlstate_of(const PGresult* result) {
  const char* state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  return state == nullptr ? "" : state;
}

class cluster {
public:
  cluster()
    : server_(start(folder_.path())) {
    make_template();
  }

  const db::embedded_server& server() const { return server_; }

  std::string conninfo(const std::string& login, const std::string& database) const {
    return db::embedded::conninfo(server_.socket_dir(), login, database);
  }

  // CREATE DATABASE takes no other statement beside it, hence one call for each.
  void administrate(const std::vector<std::string>& statements) const {
    test_connection connection(conninfo("postgres", "postgres"));
    for (const auto& statement : statements)
      connection.exec(statement);
  }

  // A database's rights are not copied with it.
  void copy_database(const std::string& from, const std::string& to) const {
    administrate({"CREATE DATABASE " + to + " TEMPLATE " + from + " OWNER colloquy_owner",
                  "REVOKE ALL ON DATABASE " + to + " FROM PUBLIC", "GRANT CONNECT ON DATABASE " + to + " TO colloquy"});
  }

private:
  // Nothing here is worth keeping after a power failure.
  static db::embedded_server start(const std::filesystem::path& folder) {
    db::embedded_options options;
    options.data_dir = folder;
    options.server_settings = {{"fsync", "off"}, {"full_page_writes", "off"}};
    auto started = db::embedded_server::start(options);
    if (!started)
      throw std::runtime_error("the tests' server does not start: " + started.failure().message);
    return std::move(*started);
  }

  void make_template() const {
    copy_database("colloquy", template_name);
    auto migrated = db::migrate(conninfo("colloquy_owner", template_name), "public", {"colloquy"});
    if (!migrated)
      throw std::runtime_error("the tests' template cannot be migrated: " + migrated.failure().message);
    if (auto closed = db::embedded::close_catalogs(server_.socket_dir(), template_name); !closed)
      throw std::runtime_error("the catalogs of the tests' template cannot be closed: " + closed.failure().message);
  }

  temp_dir folder_{"colloquy-test-cluster"};
  db::embedded_server server_;
};

// A test may fork, and the copy that exits must not stop the server of us all: hence no destructor of a static, but
// a handler that looks who exits.
struct cluster_of_program {
  std::unique_ptr<cluster> running;
  std::string failed;
  pid_t owner = 0;
};

cluster_of_program& slot() {
  static auto* const held = new cluster_of_program;
  return *held;
}

void stop_at_exit() {
  if (slot().owner == ::getpid())
    slot().running.reset();
}

// Started once; a failure is remembered, so that not every test waits for the same one again.
void start_once() {
  static const bool started = [] {
    slot().owner = ::getpid();
    try {
      slot().running = std::make_unique<cluster>();
      std::atexit(stop_at_exit);
    } catch (const std::exception& e) {
      slot().failed = e.what();
    }
    return true;
  }();
  static_cast<void>(started);
}

const cluster& the_cluster() {
  start_once();
  if (!slot().running)
    throw std::runtime_error(slot().failed);
  return *slot().running;
}

std::string copy_of(const std::string& from) {
  static std::atomic<int> made{0};
  const auto name = "colloquy_test_" + std::to_string(++made);
  the_cluster().copy_database(from, name);
  return name;
}

} // namespace

test_connection::test_connection(const std::string& conninfo)
  : held_(PQconnectdb(conninfo.c_str())) {
  if (PQstatus(held_.get()) != CONNECTION_OK)
    throw sql_error("", PQerrorMessage(held_.get()));
  PQsetNoticeReceiver(
      held_.get(), [](void*, const PGresult*) {}, nullptr);
}

text_rows test_connection::exec(const std::string& sql) {
  const db::result_ptr result(PQexec(held_.get(), sql.c_str()));
  const auto status = PQresultStatus(result.get());
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_EMPTY_QUERY)
    throw sql_error(test::sqlstate_of(result.get()), PQerrorMessage(held_.get()));
  text_rows rows(static_cast<std::size_t>(PQntuples(result.get())));
  for (std::size_t row = 0; row < rows.size(); ++row)
    for (int column = 0; column < PQnfields(result.get()); ++column)
      rows[row].emplace_back(PQgetvalue(result.get(), static_cast<int>(row), column));
  return rows;
}

std::string test_connection::value(const std::string& sql) {
  const auto rows = exec(sql);
  return rows.empty() || rows.front().empty() ? "" : rows.front().front();
}

std::string test_connection::sqlstate_of(const std::string& sql) {
  try {
    exec(sql);
    return "";
  } catch (const sql_error& e) {
    return e.sqlstate.empty() ? "connection lost" : e.sqlstate;
  }
}

test_database test_database::make() {
  return test_database(copy_of(template_name));
}

test_database test_database::make_empty() {
  return test_database(copy_of("colloquy"));
}

test_database::~test_database() {
  if (name_.empty())
    return;
  try {
    the_cluster().administrate({"DROP DATABASE " + name_ + " WITH (FORCE)"});
  } catch (const std::exception&) {
    // It goes with the server's folder at the latest.
  }
}

std::string test_database::conninfo_as(const std::string& login) const {
  return the_cluster().conninfo(login, name_);
}

text_rows test_database::exec(const std::string& sql) const {
  return test_connection(superuser_conninfo()).exec(sql);
}

std::string test_database::value(const std::string& sql) const {
  return test_connection(superuser_conninfo()).value(sql);
}

pid_t postmaster_pid() {
  return the_cluster().server().pid();
}

} // namespace colloquy::test
