#include "config/connection_text.hpp"
#include "tests/support/catch.hpp"

using namespace colloquy::config;

namespace {

std::string shown(std::string_view connection) {
  std::string list;
  for (const auto& each : hosts_of(connection))
    list += "<" + each.host + "|" + each.port + ">";
  return list;
}

} // namespace

TEST_CASE("hosts and ports of a URI are found in their order", "[connection_text]") {
  CHECK(shown("postgres://h/d") == "<h|>");
  CHECK(shown("postgresql://u:p@h:5432/d?sslmode=require") == "<h|5432>");
  CHECK(shown("postgres://u@a:1,b,c:3/d") == "<a|1><b|><c|3>");
  CHECK(shown("postgres://[::1]:5432/d") == "<[::1]|5432>");
  CHECK(shown("postgres://[::1]/d") == "<[::1]|>");
  CHECK(shown("postgres://") == "<|>");
}

TEST_CASE("a URI whose password was not escaped shows no hosts, for they may be the password", "[connection_text]") {
  CHECK(shown("postgres://u:a@b@h/d").empty());
  CHECK(shown("postgres://u:a/b@h/d").empty());
}

TEST_CASE("hosts and ports of pairs belong together one by one, and one port is that of all", "[connection_text]") {
  CHECK(shown("host=h port=5433 dbname=d") == "<h|5433>");
  CHECK(shown("port = 1  host = 'h'") == "<h|1>");
  CHECK(shown("host=a,b port=1,2") == "<a|1><b|2>");
  CHECK(shown("host=a,b port=1") == "<a|1><b|1>");
  CHECK(shown("password='x host=y' host=h") == "<h|>");
  CHECK(shown("host='open").empty());
  CHECK(shown("nothing").empty());
}

TEST_CASE("percent-encoding leaves only letters, digits and four marks", "[connection_text]") {
  CHECK(percent_encoded("aZ09-._~") == "aZ09-._~");
  CHECK(percent_encoded(std::string("\0\x7f\xff %", 5)) == "%00%7F%FF%20%25");
}
