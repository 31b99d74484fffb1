// What a connection string leaves open is filled in: safely, by the order that the header gives.
#include "db/conninfo.hpp"
#include "db/endpoint.hpp"
#include "tests/support/catch.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <unistd.h>

using namespace colloquy;
using namespace std::chrono_literals;

namespace {

/// The variables that libpq and we look at are gone while this is alive, and HOME is a folder of its own.
class own_environment {
public:
  own_environment()
    : home_(std::filesystem::temp_directory_path() / ("colloquy_endpoint_" + std::to_string(getpid()))) {
    std::filesystem::create_directories(home_);
    for (const auto* name : names) {
      const char* value = std::getenv(name);
      before_.emplace_back(name, value ? std::optional<std::string>(value) : std::nullopt);
      unsetenv(name);
    }
    setenv("HOME", home_.c_str(), 1);
  }
  ~own_environment() {
    for (const auto& [name, value] : before_)
      value ? setenv(name, value->c_str(), 1) : unsetenv(name);
    std::error_code ignored;
    std::filesystem::remove_all(home_, ignored);
  }
  own_environment(const own_environment&) = delete;
  own_environment& operator=(const own_environment&) = delete;

protected:
  std::filesystem::path home_;

private:
  static constexpr const char* names[] = {"HOME",          "PGHOST",     "PGHOSTADDR", "PGPORT",
                                          "PGUSER",        "PGDATABASE", "PGSSLMODE",  "PGSSLROOTCERT",
                                          "SSL_CERT_PATH", "PGSERVICE",  "PGOPTIONS"};
  std::vector<std::pair<const char*, std::optional<std::string>>> before_;
};

db::endpoint prepared(const db::endpoint_options& options) {
  auto made = db::prepare_endpoint(options);
  if (!made)
    FAIL(made.failure().message);
  return *made;
}

db::option_values values_of(const std::string& conninfo) {
  auto values = db::parse_conninfo(conninfo);
  REQUIRE(values);
  return *values;
}

/// A value of the prepared string; empty where there is none.
std::string value(const db::endpoint& from, const std::string& keyword) {
  const auto values = values_of(from.conninfo);
  const auto found = values.find(keyword);
  return found == values.end() ? "" : found->second;
}

bool warns(const db::endpoint& of, const std::string& words) {
  return std::any_of(of.warnings.begin(), of.warnings.end(),
                     [&](const auto& warning) { return warning.find(words) != std::string::npos; });
}

} // namespace

TEST_CASE_METHOD(own_environment, "any host that is not local is verified in full, a local one is left to libpq") {
  for (const std::string remote :
       {"host=db.example.com", "postgresql://ada@db.example.com/x", "host=10.0.0.1", "host=2001:db8::1",
        "hostaddr=10.0.0.1", "host=localhost,db.example.com", "host=localhost hostaddr=10.0.0.1",
        "host=db.example.com hostaddr=127.0.0.1", "host=localhost.example.com", "host=128.0.0.1"}) {
    CAPTURE(remote);
    CHECK(value(prepared({.conninfo = remote}), "sslmode") == "verify-full");
    CHECK(prepared({.conninfo = remote}).warnings.empty());
  }
  for (const std::string local : {"host=localhost", "host=127.0.0.1", "host=127.1.2.3", "host=::1", "host=/tmp",
                                  "dbname=x", "host=@abstract", "host=::ffff:127.0.0.1", "host=/tmp,localhost"}) {
    CAPTURE(local);
    CHECK(value(prepared({.conninfo = local}), "sslmode").empty());
  }
}

TEST_CASE_METHOD(own_environment, "the string says the sslmode first, then the setting, then the environment") {
  const std::string host = "host=db.example.com";
  setenv("PGSSLMODE", "verify-ca", 1);
  CHECK(value(prepared({.conninfo = host + " sslmode=disable", .ssl_mode = "require"}), "sslmode") == "disable");
  CHECK(value(prepared({.conninfo = host, .ssl_mode = "require"}), "sslmode") == "require");
  CHECK(value(prepared({.conninfo = host}), "sslmode") == "verify-ca");
  CHECK(value(prepared({.conninfo = "host=localhost"}), "sslmode") == "verify-ca");
  const auto unknown = db::prepare_endpoint({.conninfo = host, .ssl_mode = "very"});
  REQUIRE_FALSE(unknown);
  CHECK(unknown.failure().code == error_code::invalid_request);
  CHECK_THAT(unknown.failure().message, test::ContainsSubstring("verify-full"));
}

TEST_CASE_METHOD(own_environment, "less than full verification of a host that is not local is warned of") {
  for (const std::string mode : {"disable", "allow", "prefer", "require", "verify-ca"}) {
    CAPTURE(mode);
    const auto made = prepared({.conninfo = "host=db.example.com sslmode=" + mode + " password=hunter2"});
    CHECK(warns(made, "sslmode=" + mode + " to db.example.com"));
    CHECK(warns(made, "SSL_CERT_PATH"));
    CHECK_FALSE(warns(made, "hunter2"));
    CHECK(prepared({.conninfo = "host=localhost sslmode=" + mode}).warnings.empty());
  }
}

TEST_CASE_METHOD(own_environment, "authorities: the string, the setting, two variables, the user's own, the system's") {
  const std::string remote = "host=db.example.com";
  const auto own = home_ / ".postgresql" / "root.crt";
  std::filesystem::create_directories(own.parent_path());
  std::ofstream(own) << "certificate";
  setenv("PGSSLROOTCERT", "/pg.crt", 1);
  setenv("SSL_CERT_PATH", "/path.crt", 1);
  CHECK(value(prepared({.conninfo = remote + " sslrootcert=/s.crt", .ssl_root_cert = "/o.crt"}), "sslrootcert") ==
        "/s.crt");
  CHECK(value(prepared({.conninfo = remote, .ssl_root_cert = "/o.crt"}), "sslrootcert") == "/o.crt");
  CHECK(value(prepared({.conninfo = remote}), "sslrootcert") == "/pg.crt");
  unsetenv("PGSSLROOTCERT");
  CHECK(value(prepared({.conninfo = remote}), "sslrootcert") == "/path.crt");
  unsetenv("SSL_CERT_PATH");
  CHECK(value(prepared({.conninfo = remote}), "sslrootcert") == own.string());
  const auto bundle = value(prepared({.conninfo = remote, .ssl_root_cert = "system"}), "sslrootcert");
  std::filesystem::remove(own);
  CHECK(value(prepared({.conninfo = remote}), "sslrootcert") == bundle);
  CHECK(value(prepared({.conninfo = remote + " sslrootcert=system"}), "sslrootcert") == bundle);
  if (bundle.empty()) // a machine without any
    CHECK(warns(prepared({.conninfo = remote}), "SSL_CERT_PATH"));
  else
    CHECK(std::filesystem::exists(bundle));
  // Where nothing is verified, nothing is to be verified against.
  CHECK(value(prepared({.conninfo = remote + " sslmode=require", .ssl_root_cert = "/o.crt"}), "sslrootcert").empty());
}

TEST_CASE_METHOD(own_environment, "keepalives and timeouts go in unless the string has them") {
  const auto made = prepared({.conninfo = "host=/tmp", .keepalive_idle = 1500ms, .tcp_user_timeout = 20s});
  CHECK(value(made, "keepalives") == "1");
  CHECK(value(made, "keepalives_idle") == "2");
  CHECK(value(made, "tcp_user_timeout") == "20000");
  CHECK(value(made, "gssencmode") == "disable");
  const auto own = prepared({.conninfo = "host=/tmp keepalives=0 tcp_user_timeout=7 gssencmode=prefer"});
  CHECK(value(own, "keepalives") == "0");
  CHECK(value(own, "keepalives_idle").empty());
  CHECK(value(own, "tcp_user_timeout") == "7");
  CHECK(value(own, "gssencmode") == "prefer");
  const auto none = prepared({.conninfo = "host=/tmp", .keepalive_idle = 0ms, .tcp_user_timeout = 0ms});
  CHECK(value(none, "keepalives").empty());
  CHECK(value(none, "tcp_user_timeout").empty());
}

TEST_CASE_METHOD(own_environment, "what is shown has user, hosts and database, and never the password") {
  CHECK(prepared({.conninfo = "postgresql://ada:hunter2@db.example.com:5433/notes"}).shown ==
        "ada@db.example.com:5433/notes");
  CHECK(prepared({.conninfo = "host=a,b port=1,2 user=ada password=hunter2"}).shown == "ada@a:1,b:2/ada");
  CHECK(prepared({.conninfo = "host=::1 user=ada dbname=x"}).shown == "ada@[::1]:5432/x");
  CHECK(prepared({.conninfo = "hostaddr=10.0.0.1 user=ada dbname=x"}).shown == "ada@10.0.0.1:5432/x");
  setenv("PGHOST", "db.example.com", 1);
  setenv("PGPORT", "5499", 1);
  setenv("PGUSER", "grace", 1);
  setenv("PGDATABASE", "logs", 1);
  const auto made = prepared({.conninfo = "password=hunter2"});
  CHECK(made.shown == "grace@db.example.com:5499/logs");
  CHECK(value(made, "sslmode") == "verify-full");
  CHECK(value(made, "host") == "db.example.com");
  CHECK(db::user_of("dbname=x") == "grace");
  CHECK(db::user_of("user=ada") == "ada");
  setenv("PGSERVICE", "mine", 1);
  CHECK(value(prepared({.conninfo = "user=ada"}), "sslmode").empty()); // the service file goes before the environment
  CHECK(warns(prepared({.conninfo = "user=ada"}), "service file"));
}

TEST_CASE_METHOD(own_environment, "a string that cannot be read is refused without a word of it") {
  for (const std::string text : {"hunter2", "postgresql://ada:hunter2@[::1/x", "passwort=hunter2"}) {
    const auto refused = db::prepare_endpoint({.conninfo = text});
    REQUIRE_FALSE(refused);
    CHECK(refused.failure().code == error_code::invalid_request);
    CHECK(refused.failure().message.find("hunter2") == std::string::npos);
    CHECK(db::user_of(text).empty());
    CHECK(db::host_count(text) == 1);
    CHECK(db::rotate_hosts(text, 1) == text);
    CHECK_FALSE(db::has_host_names(text));
  }
}

TEST_CASE_METHOD(own_environment, "Supabase's transaction mode is named, with the port to use instead") {
  const std::string pooler = "postgresql://postgres.ref@aws-0-eu-west-1.pooler.supabase.com";
  CHECK(warns(prepared({.conninfo = pooler + ":6543/postgres"}), "port 5432"));
  CHECK(prepared({.conninfo = pooler + ":5432/postgres"}).warnings.empty());
  CHECK(warns(prepared({.conninfo = "host=db.ref.supabase.co port=6543"}), "port 5432"));
  CHECK(prepared({.conninfo = "host=db.example.com port=6543"}).warnings.empty());
}

TEST_CASE_METHOD(own_environment, "startup options are left out where the pooler drops them") {
  const std::string pooler = "host=aws-0-eu-west-1.pooler.supabase.com ";
  const auto made = prepared({.conninfo = pooler + "options='-c statement_timeout=5s'"});
  CHECK(value(made, "options").empty());
  CHECK(warns(made, "options"));
  const auto kept = prepared({.conninfo = pooler + "options=reference=ref"}); // Supavisor's own
  CHECK(value(kept, "options") == "reference=ref");
  CHECK(kept.warnings.empty());
  CHECK(value(prepared({.conninfo = "host=db.example.com options='-c a.b=1'"}), "options") == "-c a.b=1");
  setenv("PGOPTIONS", "-c statement_timeout=5s", 1);
  const auto hidden = prepared({.conninfo = pooler});
  CHECK(warns(hidden, "PGOPTIONS"));
  CHECK(values_of(hidden.conninfo).contains("options")); // empty, which keeps libpq from the environment
}

TEST_CASE("who answers is seen by the process id, then by names") {
  using db::endpoint_kind;
  CHECK(db::guess_kind("aws-0-eu.pooler.supabase.com", "postgres.ref", 7, 7) == endpoint_kind::direct);
  CHECK(db::guess_kind("aws-0-eu.pooler.supabase.com", "ada", 7, 8) == endpoint_kind::supavisor);
  CHECK(db::guess_kind("pooler.internal", "postgres.ref", 7, 8) == endpoint_kind::supavisor);
  CHECK(db::guess_kind("pooler.internal", "ada", 7, 8) == endpoint_kind::pgbouncer);
  for (auto kind : {endpoint_kind::embedded, endpoint_kind::direct, endpoint_kind::supavisor, endpoint_kind::pgbouncer})
    CHECK_FALSE(db::to_string(kind).empty());
}

TEST_CASE("transaction mode is explained with what to use instead") {
  const auto supavisor = db::explain_transaction_mode(db::endpoint_kind::supavisor, "a.pooler.supabase.com", "6543");
  CHECK_THAT(supavisor, test::StartsWith("a.pooler.supabase.com, port 6543, pools by transaction"));
  CHECK_THAT(supavisor, test::ContainsSubstring("port 5432"));
  CHECK_THAT(db::explain_transaction_mode(db::endpoint_kind::pgbouncer, "", ""),
             test::ContainsSubstring("pool_mode = session"));
}

TEST_CASE_METHOD(own_environment, "hosts are turned round together with their addresses and ports") {
  const std::string three = "host=a,b,c hostaddr=1.1.1.1,2.2.2.2,3.3.3.3 port=1,2,3 password='it\\'s'";
  CHECK(db::host_count(three) == 3);
  auto values = values_of(db::rotate_hosts(three, 1));
  CHECK(values["host"] == "b,c,a");
  CHECK(values["hostaddr"] == "2.2.2.2,3.3.3.3,1.1.1.1");
  CHECK(values["port"] == "2,3,1");
  CHECK(values["password"] == "it's");
  CHECK(values_of(db::rotate_hosts(three, 3)) == values_of(three));
  CHECK(values_of(db::rotate_hosts("host=a,b port=5", 1))["host"] == "b,a");
  CHECK(values_of(db::rotate_hosts("host=a,b port=5", 1))["port"] == "5");
  CHECK(db::host_count("host=a") == 1);
  CHECK(db::host_count("dbname=x") == 1);
  CHECK(db::host_count("hostaddr=1.1.1.1,2.2.2.2") == 2);
  setenv("PGHOST", "a,b", 1);
  CHECK(db::host_count("dbname=x") == 2);
  CHECK(values_of(db::rotate_hosts("dbname=x", 1))["host"] == "b,a");
}
