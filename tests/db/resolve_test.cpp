// Host names become addresses before libpq sees them; everything else of a connection string stays.
#include "db/resolve.hpp"
#include "tests/support/catch.hpp"

#include <libpq-fe.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>

using namespace colloquy;

namespace {

/// What libpq makes of a connection string.
std::map<std::string, std::string> options_of(const std::string& conninfo) {
  std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> options(PQconninfoParse(conninfo.c_str(), nullptr),
                                                                       PQconninfoFree);
  REQUIRE(options);
  std::map<std::string, std::string> values;
  for (const auto* option = options.get(); option->keyword; ++option)
    if (option->val)
      values[option->keyword] = option->val;
  return values;
}

std::map<std::string, std::string> resolved(const std::string& conninfo) {
  auto text = db::resolve_hosts(conninfo);
  if (!text)
    FAIL(text.failure().message);
  return options_of(text->conninfo);
}

auto entries(const std::string& list) {
  return std::count(list.begin(), list.end(), ',') + 1;
}

/// The environment of this test alone.
class without_pghost {
public:
  without_pghost() {
    unsetenv("PGHOST");
    unsetenv("PGHOSTADDR");
  }
};

} // namespace

TEST_CASE_METHOD(without_pghost, "a host's name gets its addresses beside it and stays for TLS") {
  auto values = resolved("host=localhost port=5433 dbname=x");
  const auto& addresses = values["hostaddr"];
  CHECK((addresses.find("127.0.0.1") != std::string::npos || addresses.find("::1") != std::string::npos));
  CHECK(entries(values["host"]) == entries(addresses));
  CHECK(values["host"].substr(0, values["host"].find(',')) == "localhost");
  CHECK(values["port"] == "5433");
  CHECK(values["dbname"] == "x");
}

TEST_CASE_METHOD(without_pghost, "addresses and sockets are left alone") {
  for (const std::string host : {"127.0.0.1", "::1", "/run/postgresql", "@abstract", "10.0.0.1,/tmp"}) {
    auto values = resolved("host='" + host + "'");
    CHECK(values["host"] == host);
    CHECK_FALSE(values.contains("hostaddr"));
  }
  CHECK_FALSE(resolved("dbname=x").contains("hostaddr"));
}

TEST_CASE_METHOD(without_pghost, "in a list each host keeps its place and its port") {
  auto values = resolved("host=10.0.0.1,localhost,/tmp, port=1,2,3,4");
  const auto hosts = values["host"], addresses = values["hostaddr"], ports = values["port"];
  CHECK(hosts.starts_with("10.0.0.1,localhost,"));
  CHECK(hosts.ends_with(",/tmp,"));
  CHECK(addresses.starts_with(","));
  CHECK(addresses.ends_with(",,"));
  CHECK(ports.starts_with("1,2,"));
  CHECK(ports.ends_with(",3,4"));
  CHECK(entries(hosts) == entries(addresses));
  CHECK(entries(hosts) == entries(ports));
}

TEST_CASE_METHOD(without_pghost, "an address that was given is believed") {
  auto values = resolved("host=no-such-host.invalid hostaddr=10.1.2.3");
  CHECK(values["hostaddr"] == "10.1.2.3");
  CHECK(values["host"] == "no-such-host.invalid");
}

TEST_CASE_METHOD(without_pghost, "the host of the environment is found too") {
  setenv("PGHOST", "localhost", 1);
  auto values = resolved("dbname=x");
  unsetenv("PGHOST");
  CHECK(values["host"].starts_with("localhost"));
  CHECK_FALSE(values["hostaddr"].empty());
}

TEST_CASE_METHOD(without_pghost, "passwords with quotes, blanks and backslashes come through") {
  CHECK(resolved(R"(host=localhost password='it\'s a \\ secret')")["password"] == R"(it's a \ secret)");
  CHECK(resolved("postgresql://ada:p%40ss%20'word@localhost/db?sslmode=require")["password"] == "p@ss 'word");
}

TEST_CASE_METHOD(without_pghost, "a name that cannot be found is named, a text that cannot be read is not repeated") {
  auto unknown = db::resolve_hosts("host=no-such-host.invalid");
  REQUIRE_FALSE(unknown);
  CHECK(unknown.failure().code == error_code::database_unavailable);
  CHECK_THAT(unknown.failure().message, test::ContainsSubstring("no-such-host.invalid"));

  auto unreadable = db::resolve_hosts("hunter2");
  REQUIRE_FALSE(unreadable);
  CHECK(unreadable.failure().code == error_code::invalid_request);
  CHECK(unreadable.failure().message.find("hunter2") == std::string::npos);
}

TEST_CASE("addresses of the preferred family come first, in the resolver's order") {
  using db::address_preference;
  const std::vector<std::string> mixed = {"2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2"};
  CHECK(db::in_preferred_order(mixed, address_preference::any) == mixed);
  CHECK(db::in_preferred_order(mixed, address_preference::ipv4) ==
        std::vector<std::string>{"192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"});
  CHECK(db::in_preferred_order(mixed, address_preference::ipv6) ==
        std::vector<std::string>{"2001:db8::1", "2001:db8::2", "192.0.2.1", "192.0.2.2"});
}

TEST_CASE("a host that has only the other family is named") {
  using db::address_preference;
  const std::vector<std::string> four = {"192.0.2.1"}, six = {"2001:db8::1"}, both = {"2001:db8::1", "192.0.2.1"};
  for (auto preference : {address_preference::any, address_preference::ipv4}) {
    CHECK_THAT(db::family_note("db.ref.supabase.co", six, preference),
               test::ContainsSubstring("has only IPv6 addresses") && test::ContainsSubstring("supavisor_session"));
    CHECK_THAT(db::family_note("db.example.com", six, preference), !test::ContainsSubstring("supavisor_session"));
    CHECK(db::family_note("db.example.com", four, preference).empty());
    CHECK(db::family_note("db.example.com", both, preference).empty());
  }
  CHECK_THAT(db::family_note("db.example.com", four, address_preference::ipv6),
             test::ContainsSubstring("has only IPv4 addresses"));
  CHECK(db::family_note("db.example.com", six, address_preference::ipv6).empty());
}

TEST_CASE_METHOD(without_pghost, "there are names to be looked up unless addresses or sockets are given") {
  CHECK(db::has_host_names("host=localhost"));
  CHECK(db::has_host_names("host=/tmp,db.example.com"));
  CHECK_FALSE(db::has_host_names("host=10.0.0.1,/tmp"));
  CHECK_FALSE(db::has_host_names("dbname=x"));
  CHECK_FALSE(db::has_host_names("host=db.example.com hostaddr=10.0.0.1"));
}
