#include "config/load.hpp"
#include "tests/config/temp_folder.hpp"
#include "tests/support/catch.hpp"

using namespace colloquy::config;
using namespace std::chrono_literals;
using colloquy::test::ContainsSubstring;

namespace {

sources with(std::map<std::string, std::string> environment) {
  sources from;
  from.environment = std::move(environment);
  from.environment.emplace("HOME", "/home/someone");
  return from;
}

settings load_well(const sources& from) {
  const auto found = load(from);
  for (const auto& each : found.mistakes)
    FAIL_CHECK(format(each));
  return found.values;
}

std::string only_mistake(const sources& from) {
  const auto found = load(from);
  for (const auto& each : found.mistakes)
    UNSCOPED_INFO(format(each));
  REQUIRE(found.mistakes.size() == 1);
  return format(found.mistakes.front());
}

bool accepts(std::string_view name, std::string_view text) {
  settings into;
  return find_setting(name)->read(into, text, spelling::with_unit).has_value();
}

} // namespace

TEST_CASE("with nothing given the pool has the defaults that users are told", "[pool_settings]") {
  const auto found = load_well(with({}));
  CHECK_FALSE(found.ssl_mode);
  CHECK_FALSE(found.ssl_root_cert);
  CHECK(found.address_family == address_family::any);
  CHECK_FALSE(found.connection_type);
  CHECK_FALSE(found.supabase_project_ref);
  CHECK_FALSE(found.supabase_db_password);
  CHECK(found.profile.empty());
  CHECK(found.pool_mode == "session");
  CHECK(found.acquire_timeout == 10s);
  CHECK(found.lock_timeout == 10s);
  CHECK(found.pool_idle_timeout == 300s);
  CHECK(found.pool_max_lifetime == 30min);
  CHECK(found.health_check_interval == 30s);
  CHECK(found.report_interval == 60s);
  CHECK(found.reconnect_delay_first == 100ms);
  CHECK(found.reconnect_delay_max == 5s);
  CHECK(found.reconnect_jitter_percent == 25);
  CHECK(found.keepalive_idle == 10s);
  CHECK(found.tcp_user_timeout == 30s);
  CHECK(found.lease_idle_timeout == 5min);
  CHECK(found.lease_leak_after == 60s);
  CHECK(found.slow_statement_after == 1s);
  CHECK(found.pool_waiters_max == 50'000);
  CHECK(found.tenant_waiters_max == 10'000);
  CHECK(found.tenant_backends_max == 0);
  CHECK(found.pipeline_depth == 2);
  CHECK(found.statement_cache_max == 256);
  CHECK_FALSE(found.monitoring);
}

TEST_CASE("ranges of the pool include their ends and nothing beyond them", "[pool_settings]") {
  struct ends {
    const char* name;
    const char* below;
    const char* min;
    const char* max;
    const char* above;
  };
  const auto each = GENERATE(values<ends>({
      {"acquire_timeout", "99ms", "100ms", "10min", "601s"},
      {"lock_timeout", "99ms", "100ms", "24h", "25h"},
      {"pool_idle_timeout", "999ms", "1s", "24h", "25h"},
      {"pool_max_lifetime", "999ms", "1s", "168h", "169h"},
      {"health_check_interval", "999ms", "1s", "1h", "61min"},
      {"report_interval", "999ms", "1s", "24h", "25h"},
      {"reconnect_delay_first", "9ms", "10ms", "10min", "601s"},
      {"reconnect_delay_max", "9ms", "10ms", "10min", "601s"},
      {"reconnect_jitter_percent", "-1", "0", "100", "101"},
      {"keepalive_idle", "999ms", "1s", "2h", "121min"},
      {"tcp_user_timeout", "999ms", "1s", "1h", "61min"},
      {"lease_idle_timeout", "999ms", "1s", "24h", "25h"},
      {"lease_leak_after", "999ms", "1s", "24h", "25h"},
      {"slow_statement_after", "0ms", "1ms", "1h", "61min"},
      {"pool_waiters_max", "0", "1", "1000000", "1000001"},
      {"tenant_waiters_max", "0", "1", "1000000", "1000001"},
      {"tenant_backends_max", "-1", "0", "1000", "1001"},
      {"pipeline_depth", "0", "1", "64", "65"},
      {"statement_cache_max", "0", "1", "100000", "100001"},
  }));
  CAPTURE(each.name);
  CHECK_FALSE(accepts(each.name, each.below));
  CHECK(accepts(each.name, each.min));
  CHECK(accepts(each.name, each.max));
  CHECK_FALSE(accepts(each.name, each.above));
}

TEST_CASE("words are read as libpq and other programs write them, in any case", "[pool_settings]") {
  for (const auto mode : {ssl_mode::disable, ssl_mode::allow, ssl_mode::prefer, ssl_mode::require, ssl_mode::verify_ca,
                          ssl_mode::verify_full})
    CHECK(load_well(with({{"PGSSLMODE", std::string(to_string(mode))}})).ssl_mode == mode);
  CHECK(load_well(with({{"PGSSLMODE", "Verify-Full"}})).ssl_mode == ssl_mode::verify_full);
  CHECK(load_well(with({{"COLLOQUY_ADDRESS_FAMILY", "ipv6"}})).address_family == address_family::ipv6);
  CHECK(load_well(with({{"COLLOQUY_ADDRESS_FAMILY", "ipv4"}})).address_family == address_family::ipv4);
  CHECK(only_mistake(with({{"PGSSLMODE", "verify_full"}})) ==
        "ssl_mode = \"verify_full\" (environment PGSSLMODE): must be text, disable, allow, prefer, require, verify-ca "
        "or verify-full; empty to leave it open");
  CHECK_THAT(only_mistake(with({{"COLLOQUY_ADDRESS_FAMILY", ""}})), ContainsSubstring("any, ipv4 or ipv6"));
}

TEST_CASE("a yes or no is read under every word for it, and anything else is refused", "[pool_settings]") {
  for (const auto* word : {"true", "TRUE", "yes", "on", "1"})
    CHECK(load_well(with({{"ENABLE_MCP_MONITORING", word}})).monitoring);
  for (const auto* word : {"false", "No", "off", "0"})
    CHECK_FALSE(load_well(with({{"ENABLE_MCP_MONITORING", word}, {"COLLOQUY_MONITORING", word}})).monitoring);
  CHECK_THAT(only_mistake(with({{"ENABLE_MCP_MONITORING", "maybe"}})), ContainsSubstring("true or false"));
  settings on;
  on.monitoring = true;
  CHECK(find_setting("monitoring")->write(on) == "true");
}

TEST_CASE("certificates are found under both names, and a relative path becomes absolute but for system",
          "[pool_settings]") {
  CHECK(load_well(with({{"SSL_CERT_PATH", "/etc/ca.crt"}})).ssl_root_cert == "/etc/ca.crt");
  CHECK(load_well(with({{"SSL_CERT_PATH", "/a"}, {"PGSSLROOTCERT", "/b"}})).ssl_root_cert == "/b");
  CHECK(load_well(with({{"PGSSLROOTCERT", "ca.crt"}})).ssl_root_cert == std::filesystem::current_path() / "ca.crt");
  CHECK(load_well(with({{"PGSSLROOTCERT", "system"}})).ssl_root_cert == "system");
}

TEST_CASE("any pool mode but session is refused, with why and with the port", "[pool_settings]") {
  CHECK(load_well(with({{"POOL_MODE", "session"}})).pool_mode == "session");
  const auto* mode = GENERATE("transaction", "statement", "sessions");
  const auto text = only_mistake(with({{"POOL_MODE", mode}}));
  CHECK_THAT(text, ContainsSubstring("transaction mode") && ContainsSubstring("5432"));
}

TEST_CASE("waiting for a connection may take as long as connecting, unless it is said itself", "[pool_settings]") {
  auto from = with({{"CONNECTION_TIMEOUT", "4000"}});
  CHECK(load_well(from).acquire_timeout == 4s);
  from.flags = {{"acquire-timeout", "2s"}};
  CHECK(load_well(from).acquire_timeout == 2s);
  CHECK(load_well(from).connect_timeout == 4s);
}

TEST_CASE("bounds that belong together are held against each other", "[pool_settings]") {
  CHECK(load_well(with({{"COLLOQUY_RECONNECT_DELAY_MAX", "50ms"}})).reconnect_delay_first == 50ms);
  CHECK(load_well(with({{"COLLOQUY_POOL_WAITERS_MAX", "7"}})).tenant_waiters_max == 7);
  CHECK_THAT(only_mistake(with({{"COLLOQUY_RECONNECT_DELAY_FIRST", "6s"}})),
             ContainsSubstring("at most reconnect_delay_max, which is 5s (default)"));
  CHECK_THAT(only_mistake(with({{"COLLOQUY_TENANT_WAITERS_MAX", "60000"}})),
             ContainsSubstring("at most pool_waiters_max, which is 50000 (default)"));
}

TEST_CASE("passwords and keys are hidden as a whole, well written or not", "[pool_settings]") {
  const auto* name = GENERATE("supabase_db_password", "supabase_key", "supabase_service_role_key");
  const auto& setting = *find_setting(name);
  settings values;
  CHECK(shown_value(setting, values).empty());
  // Read as a connection string, these would be shown.
  for (const auto* text : {"host=hunter2", "postgres://hunter2", "hunter2"}) {
    REQUIRE(setting.read(values, text, spelling::with_unit).has_value());
    CHECK(shown_value(setting, values) == "***");
  }
  const auto found = load(with({{setting.environment.front().name, "host=hunter2\n"}}));
  REQUIRE_FALSE(found.mistakes.empty());
  CHECK(found.mistakes.front().value == "***");
}
