#include "db/migrator.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/test_cluster.hpp"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <sstream>
#include <sys/socket.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>

using namespace colloquy;
using namespace colloquy::db;
using namespace colloquy::test;

namespace {

const std::string checksum_a(64, 'a');
const std::string checksum_b(64, 'b');

const std::vector<std::string> logins{"colloquy"};

migration first(std::string_view sql = "CREATE TABLE one (id int)") {
  return {1, "first", checksum_a, sql};
}

migration second(std::string_view sql = "CREATE TABLE two (id int)") {
  return {2, "second", checksum_b, sql};
}

result<migration_report> migrate_test(const test_database& database, const std::vector<migration>& all,
                                      std::string_view schema = "public") {
  return migrate(database.owner_conninfo(), schema, logins, all);
}

std::string history(const test_database& database) {
  std::string out;
  for (const auto& row : database.exec("SELECT number, name FROM schema_migrations ORDER BY number"))
    out += row[0] + "_" + row[1] + " ";
  return out;
}

bool exists(const test_database& database, const std::string& table) {
  return database.value("SELECT to_regclass('" + table + "') IS NOT NULL") == "t";
}

// What a program of PostgreSQL's prints, given the connection in the environment, where no shell reads it.
std::string output_of(const std::string& command, const std::string& conninfo) {
  ::setenv("COLLOQUY_TEST_CONNINFO", conninfo.c_str(), 1);
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen((command + " 2>&1").c_str(), "r"), &::pclose);
  REQUIRE(pipe);
  std::string out;
  std::array<char, 4096> piece{};
  while (std::fgets(piece.data(), static_cast<int>(piece.size()), pipe.get()) != nullptr)
    if (!std::string_view(piece.data()).starts_with("\\restrict") &&
        !std::string_view(piece.data()).starts_with("\\unrestrict")) // random words of newer versions
      out += piece.data();
  return out;
}

// Short enough to be read when a test fails.
std::string first_difference(const std::string& left, const std::string& right) {
  std::istringstream lines_left(left);
  std::istringstream lines_right(right);
  for (std::string one, other; std::getline(lines_left, one);)
    if (!std::getline(lines_right, other) || one != other)
      return one + " | " + other;
  return left.size() == right.size() ? "" : "one is longer";
}

std::string dump_of(const test_database& database) {
  return output_of("pg_dump --schema-only \"$COLLOQUY_TEST_CONNINFO\"", database.superuser_conninfo());
}

/// Answers one connection as a server of another version would, and then is silent.
class old_server {
public:
  explicit old_server(const std::filesystem::path& folder)
    : listening_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const auto path = (folder / ".s.PGSQL.5432").string();
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    REQUIRE(::bind(listening_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
    REQUIRE(::listen(listening_, 1) == 0);
    answering_ = std::thread([this] { answer(); });
  }
  ~old_server() {
    ::shutdown(listening_, SHUT_RDWR);
    answering_.join();
    ::close(listening_);
  }

private:
  void answer() const {
    const int client = ::accept(listening_, nullptr, nullptr);
    std::array<char, 1024> asked{};
    if (client < 0 || ::read(client, asked.data(), asked.size()) <= 0)
      return;
    using namespace std::string_literals;
    const auto said = "R\0\0\0\x08\0\0\0\0"s + "S\0\0\0\x18server_version\00014.9\0"s + "Z\0\0\0\x05I"s;
    [[maybe_unused]] const auto sent = ::write(client, said.data(), said.size());
    [[maybe_unused]] const auto ended = ::read(client, asked.data(), asked.size());
    ::close(client);
  }

  int listening_;
  std::thread answering_;
};

} // namespace

TEST_CASE("programs that start at once apply each migration once", "[migrator]") {
  auto database = test_database::make_empty();
  // Under this default a snapshot could be older than the lock that was waited for.
  database.exec("ALTER DATABASE " + database.name() + " SET default_transaction_isolation = 'serializable'");
  const std::vector<migration> all{first("SELECT pg_sleep(0.1); CREATE TABLE one (id int)"),
                                   second("SELECT pg_sleep(0.1); CREATE TABLE two (id int)")};
  std::vector<std::future<result<migration_report>>> programs;
  for (int i = 0; i < 4; ++i)
    programs.push_back(std::async(std::launch::async, [&] { return migrate_test(database, all, "of_many"); }));
  std::size_t applied = 0;
  for (auto& program : programs) {
    auto report = program.get();
    INFO((report ? "" : report.failure().message));
    REQUIRE(report);
    CHECK(report->version == 2);
    applied += report->applied.size();
  }
  CHECK(applied == 2);
  CHECK(database.value("SELECT count(*) FROM of_many.schema_migrations") == "2");
}

TEST_CASE("a second call finds nothing to do and says so", "[migrator]") {
  auto database = test_database::make_empty();
  auto report = migrate(database.owner_conninfo(), "public", logins);
  REQUIRE(report);
  CHECK(report->applied.size() == embedded_migrations().size());
  CHECK(report->applied.front() == "0001_sessions_events_turns");
  auto again = migrate(database.owner_conninfo(), "public", logins);
  REQUIRE(again);
  CHECK(again->applied.empty());
  CHECK(again->prepared.empty());
  CHECK(again->version == report->version);
}

TEST_CASE("a failing migration leaves nothing of itself and tells where it failed", "[migrator]") {
  auto database = test_database::make_empty();
  auto report = migrate_test(database, {first(), second("CREATE TABLE two (id int);\n-- é\nSELECT no_such_column;")});
  REQUIRE_FALSE(report);
  CHECK(report.failure().code == error_code::internal);
  CHECK_THAT(report.failure().message, ContainsSubstring("0002_second"));
  CHECK_THAT(report.failure().message, ContainsSubstring("line 3, column 8"));
  CHECK_THAT(report.failure().message, ContainsSubstring("42703"));
  CHECK_THAT(report.failure().message, ContainsSubstring("no_such_column"));
  CHECK(history(database) == "1_first ");
  CHECK(exists(database, "one"));
  CHECK_FALSE(exists(database, "two"));
}

TEST_CASE("a migration refused when it commits leaves nothing", "[migrator]") {
  auto database = test_database::make_empty();
  auto report = migrate_test(database, {first("CREATE TABLE one (id int UNIQUE DEFERRABLE INITIALLY DEFERRED);"
                                              "INSERT INTO one VALUES (1), (1)")});
  REQUIRE_FALSE(report);
  CHECK_THAT(report.failure().message, ContainsSubstring("23505"));
  CHECK_THAT(report.failure().message, ContainsSubstring("0001_first"));
  CHECK_FALSE(exists(database, "one"));
  CHECK(history(database).empty());
}

TEST_CASE("a connection lost while a migration commits is reported as an unknown outcome", "[migrator]") {
  auto database = test_database::make_empty();
  auto report = migrate_test(database, {first(R"sql(
    CREATE TABLE one (id int);
    CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS
      'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END';
    CREATE CONSTRAINT TRIGGER cut AFTER INSERT ON one DEFERRABLE INITIALLY DEFERRED
      FOR EACH ROW EXECUTE FUNCTION cut();
    INSERT INTO one VALUES (1))sql")});
  REQUIRE_FALSE(report);
  CHECK(report.failure().code == error_code::database_unavailable);
  CHECK_THAT(report.failure().message, ContainsSubstring("0001_first"));
  CHECK_THAT(report.failure().message, ContainsSubstring("outcome is unknown"));
}

TEST_CASE("a migration that ends its own transaction is reported", "[migrator]") {
  auto database = test_database::make_empty();
  auto report = migrate_test(database, {first("CREATE TABLE one (id int); COMMIT; CREATE TABLE two (id int)")});
  REQUIRE_FALSE(report);
  CHECK(report.failure().code == error_code::internal);
  CHECK_THAT(report.failure().message, ContainsSubstring("0001_first ended the transaction"));
}

TEST_CASE("an applied migration whose text has changed is refused with both checksums", "[migrator]") {
  auto database = test_database::make_empty();
  REQUIRE(migrate_test(database, {first()}));
  auto changed = first();
  changed.checksum = checksum_b;
  auto report = migrate_test(database, {changed, second()});
  REQUIRE_FALSE(report);
  CHECK(report.failure().code == error_code::conflict);
  CHECK_THAT(report.failure().message, ContainsSubstring("0001_first"));
  CHECK_THAT(report.failure().message, ContainsSubstring(checksum_a));
  CHECK_THAT(report.failure().message, ContainsSubstring(checksum_b));
  CHECK_FALSE(exists(database, "two"));
}

TEST_CASE("a schema newer than the program is refused, naming both", "[migrator]") {
  auto database = test_database::make_empty();
  REQUIRE(migrate_test(database, {first(), second()}));
  auto report = migrate_test(database, {first()});
  REQUIRE_FALSE(report);
  CHECK(report.failure().code == error_code::conflict);
  CHECK_THAT(report.failure().message, ContainsSubstring("is at 0002_second"));
  CHECK_THAT(report.failure().message, ContainsSubstring("knows up to 0001_first"));
}

TEST_CASE("a gap in what is recorded is refused, and so is one in the program", "[migrator]") {
  auto database = test_database::make_empty();
  REQUIRE(migrate_test(database, {first(), second()}));
  database.exec("DELETE FROM schema_migrations WHERE number = 1");
  auto report = migrate_test(database, {first(), second()});
  REQUIRE_FALSE(report);
  CHECK(report.failure().code == error_code::conflict);
  CHECK_THAT(report.failure().message, ContainsSubstring("0001_first is not recorded although 0002_second"));

  auto other = migrate_test(database, {second()}, "of_a_gap");
  REQUIRE_FALSE(other);
  CHECK(other.failure().code == error_code::internal);
  CHECK_FALSE(exists(database, "of_a_gap.schema_migrations"));
}

TEST_CASE("another program's schema_migrations is left alone", "[migrator]") {
  auto database = test_database::make_empty();
  test_connection(database.owner_conninfo()).exec("CREATE TABLE schema_migrations (version varchar PRIMARY KEY)");
  auto report = migrate_test(database, {first()});
  REQUIRE_FALSE(report);
  CHECK(report.failure().code == error_code::conflict);
  CHECK_THAT(report.failure().message, ContainsSubstring("belongs to another program"));
  CHECK_FALSE(exists(database, "one"));
}

TEST_CASE("a server before 15 is refused with what is needed and why", "[migrator]") {
  temp_dir folder;
  old_server server(folder.path());
  auto report =
      migrate("host=" + folder.path().string() + " user=x dbname=x sslmode=disable gssencmode=disable", "public");
  REQUIRE_FALSE(report);
  CHECK(report.failure().code == error_code::conflict);
  CHECK_THAT(report.failure().message, ContainsSubstring("14.9"));
  CHECK_THAT(report.failure().message, ContainsSubstring("15 or later"));
}

TEST_CASE("what is recorded can be read by the service and changed by the owner alone", "[migrator]") {
  auto database = test_database::make();
  test_connection service(database.service_conninfo());
  CHECK(service.sqlstate_of("SELECT * FROM schema_migrations") == "42501");
  service.exec("SET ROLE colloquy_service");
  CHECK(service.value("SELECT count(*) FROM schema_migrations") == std::to_string(embedded_migrations().size()));
  CHECK(service.sqlstate_of("DELETE FROM schema_migrations") == "42501");
  service.exec("SET ROLE colloquy_system");
  CHECK(service.value("SELECT count(*) > 0 FROM schema_migrations") == "t");
  test_connection owner(database.owner_conninfo());
  CHECK(owner.value("UPDATE schema_migrations SET applied_at = now() WHERE number = 1 RETURNING number") == "1");
  // Under another owner, as after a restore, the policy follows.
  database.exec("ALTER TABLE schema_migrations OWNER TO pg_database_owner");
  CHECK(owner.value("SELECT count(*) > 0 FROM schema_migrations") == "t");
}

TEST_CASE("any valid schema name works, and others are refused", "[migrator]") {
  auto database = test_database::make_empty();
  const std::string odd = "we\"ird $colloquy$ \\ name";
  auto report = migrate(database.owner_conninfo(), odd, logins);
  INFO((report ? "" : report.failure().message));
  REQUIRE(report);
  auto state = check_schema(database.service_conninfo(), odd);
  REQUIRE(state);
  CHECK(state->describe(odd) == "");
  CHECK(database.value("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == "0");
  for (const auto& name : {std::string(), std::string("pg_mine"), std::string(64, 'x'), std::string("a\0b", 3)}) {
    auto refused = migrate(database.owner_conninfo(), name, logins);
    REQUIRE_FALSE(refused);
    CHECK(refused.failure().code == error_code::invalid_request);
  }
}

TEST_CASE("the printed SQL makes what migrating makes, and then nothing is left to do", "[migrator]") {
  auto by_hand = test_database::make_empty();
  auto by_program = test_database::make_empty();
  REQUIRE(migrate(by_program.owner_conninfo(), "public", logins));
  auto sql = print_sql("public", logins);
  REQUIRE(sql);

  temp_dir folder;
  const auto path = folder / "all.sql";
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "w"), &std::fclose);
  REQUIRE(std::fputs(sql->c_str(), file.get()) >= 0);
  REQUIRE(std::fflush(file.get()) == 0);
  const auto psql = "psql -X -q -o /dev/null -v ON_ERROR_STOP=1 -f " + path.string() + " \"$COLLOQUY_TEST_CONNINFO\"";
  CHECK(output_of(psql, by_hand.owner_conninfo()) == "");

  const auto dumped = dump_of(by_program);
  CHECK_THAT(dumped, ContainsSubstring("CREATE TABLE public.sessions"));
  CHECK(first_difference(dump_of(by_hand), dumped) == "");
  auto report = migrate(by_hand.owner_conninfo(), "public", logins);
  REQUIRE(report);
  CHECK(report->applied.empty());
  CHECK(report->prepared.empty());
  CHECK(report->version == static_cast<int>(embedded_migrations().size()));

  // A second time it stops before it changes anything.
  CHECK_THAT(output_of(psql, by_hand.owner_conninfo()), ContainsSubstring("migration 1 comes next after 0 only"));
  CHECK(first_difference(dump_of(by_hand), dumped) == "");
}

TEST_CASE("the schema is looked at without a change, by whoever the service is", "[migrator]") {
  auto database = test_database::make_empty();
  const std::vector<migration> both{first(), second()};
  const std::vector<migration> one{first()};
  auto changed = first();
  changed.checksum = checksum_b;

  auto before = check_schema(database.service_conninfo(), "public", both);
  REQUIRE(before);
  CHECK(before->missing == std::vector<std::string>{"0001_first", "0002_second"});
  CHECK_FALSE(before->usable());
  CHECK_THAT(before->describe("public"), ContainsSubstring("colloquy migrate"));
  CHECK_FALSE(exists(database, "schema_migrations"));

  REQUIRE(migrate_test(database, both));
  auto after = check_schema(database.service_conninfo(), "public", both);
  REQUIRE(after);
  CHECK(after->describe("public") == "");
  CHECK(after->usable());
  CHECK(after->version == 2);
  CHECK(after->version_needed == 2);

  auto older = check_schema(database.service_conninfo(), "public", one);
  REQUIRE(older);
  CHECK(older->newer == std::vector<std::string>{"0002_second"});
  auto other = check_schema(database.service_conninfo(), "public", std::vector<migration>{changed, second()});
  REQUIRE(other);
  REQUIRE(other->changed.size() == 1);
  CHECK_THAT(other->changed.front(), ContainsSubstring(checksum_a));
  CHECK_FALSE(other->usable());
}

TEST_CASE("no message of a failed connection holds the password", "[migrator]") {
  for (const std::string conninfo :
       {"postgresql://user:hunter2%zz@localhost/db", "postgresql://user:pa@hunter2@localhost/db",
        "host=/nonexistent user=x password=hunter2", "host=/nonexistent passwort=hunter2", "hunter2",
        "host=/nonexistent/hunter2 user=x password=hunter2"}) {
    auto report = migrate(conninfo, "public");
    REQUIRE_FALSE(report);
    INFO(report.failure().message);
    CHECK(report.failure().message.find("hunter2") == std::string::npos);
  }
}
