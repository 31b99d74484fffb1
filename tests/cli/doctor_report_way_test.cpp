// What the doctor makes of the configuration and of the way to the server; with facts that were made up.
#include "cli/doctor_command.hpp"
#include "cli/doctor_report_way.hpp"
#include "db/symptoms.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temp_dir.hpp"

#include <fstream>

using namespace colloquy;
using namespace colloquy::cli;
using namespace colloquy::db::doctor;
using namespace std::chrono_literals;
using colloquy::test::ContainsSubstring;

namespace {

host_facts host_with(std::vector<std::string> a, std::vector<std::string> aaaa) {
  host_facts host;
  host.host = "db.example.com";
  host.port = "5432";
  host.is_name = true;
  host.ipv4_failure = a.empty() ? "Name or service not known" : "";
  host.ipv6_failure = aaaa.empty() ? "Name or service not known" : "";
  host.ipv4 = std::move(a);
  host.ipv6 = std::move(aaaa);
  return host;
}

door_facts door(std::string address, std::string failure = "", bool timed_out = false) {
  const bool is_six = address.find(':') != std::string::npos;
  return {
      "h",       "5432", std::move(address), is_six ? address_family::ipv6 : address_family::ipv4, std::move(failure),
      timed_out, 3ms};
}

constexpr std::int64_t day = 86'400;

tls_facts good_tls(std::string mode = "verify-full") {
  tls_facts facts;
  facts.host = "db.example.com";
  facts.mode = std::move(mode);
  facts.authorities = "/etc/ca.crt";
  facts.checks_name = facts.mode == "verify-full";
  facts.checks_authority = facts.mode.starts_with("verify-");
  facts.offered = true;
  facts.version = "TLSv1.3";
  facts.cipher = "TLS_AES_256_GCM_SHA384";
  facts.certificate = certificate_facts{"CN=db.example.com", "CN=ca", {"db.example.com"}, 1000 * day, 1100 * day};
  facts.authority_known = facts.in_time = facts.name_fits = true;
  facts.now = 1050 * day;
  return facts;
}

std::string all_of(const probe_result& result) {
  return result.summary + "\n" + result.advice;
}

} // namespace

TEST_CASE("the configuration tells source and endpoint, and warns where the endpoint does") {
  configuration_facts facts{"environment DATABASE_URL", "u@h:5432/d", false, {}, {}, {}, {}};
  auto good = judge_configuration(facts);
  CHECK(good.status == probe_status::ok);
  CHECK_THAT(good.summary, ContainsSubstring("DATABASE_URL") && ContainsSubstring("u@h:5432/d"));
  facts.warnings = {"sslmode=require is weak"};
  const auto weak = judge_configuration(facts);
  CHECK(weak.status == probe_status::warn);
  CHECK_THAT(weak.advice, ContainsSubstring("sslmode=require is weak"));
  facts.failure = "sslmode \"never\" is none of those there are";
  CHECK(judge_configuration(facts).status == probe_status::fail);
}

TEST_CASE("API keys are told by kind and length, never by value") {
  configuration_facts facts{"flag --database", "u@h:5432/d", false, {}, {}, {}, {}};
  const std::string whole = "sb_secret_" + std::string(31, 'k');
  facts.keys.emplace_back("SUPABASE_KEY", config::shape_of(whole));
  const auto good = judge_configuration(facts);
  CHECK(good.status == probe_status::ok);
  CHECK_THAT(good.summary, ContainsSubstring("secret key") && ContainsSubstring("41 characters") &&
                               ContainsSubstring("database password"));
  CHECK_THAT(good.details.dump() + all_of(good), !ContainsSubstring("kkk"));
  facts.keys[0].second = config::shape_of(whole.substr(0, 20));
  const auto cut = judge_configuration(facts);
  CHECK(cut.status == probe_status::warn);
  CHECK_THAT(all_of(cut), ContainsSubstring("truncated") && ContainsSubstring("anew"));
}

TEST_CASE("keys without a database, and a key in a password's place, are warned of") {
  configuration_facts facts{"the embedded server", "u@h:5432/d", true, {}, {}, {}, {}};
  facts.keys.emplace_back("SUPABASE_KEY", config::shape_of("sb_secret_" + std::string(31, 'k')));
  CHECK(judge_configuration(facts).status == probe_status::warn);
  CHECK_THAT(judge_configuration(facts).advice, ContainsSubstring("SUPABASE_DB_PASSWORD"));
  configuration_facts mistaken{"flag --database", "u@h:5432/d", false, {}, {}, {}, config::shape_of("sb_secret_x")};
  CHECK(judge_configuration(mistaken).status == probe_status::warn);
  CHECK_THAT(judge_configuration(mistaken).advice, ContainsSubstring("no password"));
}

TEST_CASE("names with IPv4 are well, with IPv6 alone are warned of, without either fail") {
  CHECK(judge_names({{host_with({"10.0.0.1"}, {})}, 3ms}).status == probe_status::ok);
  const auto six = judge_names({{host_with({}, {"2001:db8::1"})}, 3ms});
  CHECK(six.status == probe_status::warn);
  CHECK_THAT(six.advice, ContainsSubstring("IPv6"));
  CHECK_THAT(six.summary, ContainsSubstring("2001:db8::1"));
  const auto none = judge_names({{host_with({}, {})}, 3ms});
  CHECK(none.status == probe_status::fail);
  CHECK_THAT(none.advice, ContainsSubstring("spelling"));
  auto silent = host_with({}, {});
  silent.ipv4_failure = silent.ipv6_failure = "no answer within 5000 ms";
  CHECK_THAT(judge_names({{silent}, 3ms}).advice, ContainsSubstring("name service"));
  CHECK(judge_names({{host_with({}, {}), host_with({"10.0.0.1"}, {})}, 3ms}).status == probe_status::warn);
  CHECK(judge_names({}).status == probe_status::skip);
}

TEST_CASE("one open door is enough, unless another one keeps everybody waiting") {
  CHECK(judge_reach({{door("10.0.0.1")}, 3ms}).status == probe_status::ok);
  CHECK(judge_reach({{door("::1", "Connection refused"), door("127.0.0.1")}, 3ms}).status == probe_status::ok);
  const auto slow = judge_reach({{door("2001:db8::1", "no answer within 5000 ms", true), door("10.0.0.1")}, 5s});
  CHECK(slow.status == probe_status::warn);
  CHECK_THAT(slow.advice, ContainsSubstring("address_family"));
  const auto closed = judge_reach({{door("10.0.0.1", "Connection refused")}, 3ms});
  CHECK(closed.status == probe_status::fail);
  CHECK_THAT(all_of(closed), ContainsSubstring("Nobody listens") && ContainsSubstring("3 ms"));
  const auto unreachable = judge_reach({{door("2001:db8::1", "Network is unreachable")}, 3ms});
  CHECK_THAT(unreachable.advice, ContainsSubstring("session pooler"));
  auto elsewhere = door("10.0.0.2", "Connection refused");
  elsewhere.host = "second";
  CHECK(judge_reach({{door("10.0.0.1"), elsewhere}, 3ms}).status == probe_status::warn);
  CHECK(judge_reach({}).status == probe_status::skip);
}

TEST_CASE("a good certificate is well, and one that ends soon is warned of") {
  const auto good = judge_tls({good_tls()});
  CHECK(good.status == probe_status::ok);
  CHECK_THAT(good.summary, ContainsSubstring("TLSv1.3") && ContainsSubstring("CN=db.example.com"));
  auto soon = good_tls();
  soon.now = 1095 * day;
  CHECK(judge_tls({soon}).status == probe_status::warn);
  CHECK_THAT(all_of(judge_tls({soon})), ContainsSubstring("in 5 days") && ContainsSubstring("Renew"));
  soon.checks_authority = soon.checks_name = false; // then nobody minds
  CHECK(judge_tls({soon}).status == probe_status::ok);
}

TEST_CASE("wrong authority, wrong name, expired and not yet valid are told apart") {
  auto facts = good_tls();
  facts.authority_known = false;
  CHECK(judge_tls({facts}).status == probe_status::fail);
  CHECK_THAT(all_of(judge_tls({facts})), ContainsSubstring("no authority in /etc/ca.crt has signed it") &&
                                             ContainsSubstring("SSL_CERT_PATH") && !ContainsSubstring("expired on"));
  facts.authorities_failure = "could not read root certificate file \"/etc/ca.crt\"";
  CHECK_THAT(all_of(judge_tls({facts})), ContainsSubstring("could not read root certificate"));
  facts = good_tls();
  facts.name_fits = false;
  facts.certificate->names = {"other.example.com"};
  CHECK(judge_tls({facts}).status == probe_status::fail);
  CHECK_THAT(all_of(judge_tls({facts})), ContainsSubstring("it is for other.example.com and not for db.example.com") &&
                                             ContainsSubstring("another host"));
  facts = good_tls();
  facts.in_time = false;
  facts.now = 1200 * day;
  CHECK(judge_tls({facts}).status == probe_status::fail);
  CHECK_THAT(all_of(judge_tls({facts})), ContainsSubstring("it expired on") && ContainsSubstring("renew"));
  facts.now = 900 * day;
  CHECK_THAT(all_of(judge_tls({facts})), ContainsSubstring("valid only from"));
}

TEST_CASE("what libpq will not check is said and does not fail") {
  auto facts = good_tls("require");
  facts.authority_known = facts.name_fits = false;
  const auto lax = judge_tls({facts});
  CHECK(lax.status == probe_status::ok);
  CHECK_THAT(lax.summary, ContainsSubstring("not checked"));
  facts.checks_authority = true; // with a file of authorities
  CHECK(judge_tls({facts}).status == probe_status::fail);
}

TEST_CASE("no TLS is judged by whether it is demanded") {
  auto facts = good_tls();
  facts.offered = false;
  facts.certificate.reset();
  CHECK(judge_tls({facts}).status == probe_status::fail);
  facts.mode = "prefer";
  CHECK(judge_tls({facts}).status == probe_status::ok);
  facts.failure = "SSL error: wrong version number";
  CHECK(judge_tls({facts}).status == probe_status::warn);
  facts.mode = "verify-full";
  CHECK(judge_tls({facts}).status == probe_status::fail);
  facts.mode = "disable";
  CHECK(judge_tls({facts}).status == probe_status::ok);
  CHECK(judge_tls({good_tls(), facts}).details["hosts"].size() == 2);
}

TEST_CASE("a login's refusal has its symptom, setting and advice") {
  login_facts facts;
  facts.failure = db::make_failure("", "FATAL:  password authentication failed for user \"u\"", true);
  const auto refused = judge_login(facts);
  CHECK(refused.status == probe_status::fail);
  CHECK(refused.details["symptom"] == "password-wrong");
  CHECK_FALSE(refused.advice.empty());
  facts.failure = db::make_failure("", "never heard of", true);
  CHECK_FALSE(judge_login(facts).advice.empty());
  CHECK(judge_login({std::nullopt, "u", "d", true, 3ms}).status == probe_status::ok);
}

TEST_CASE("the source of the connection is named as it wins") {
  const colloquy::test::temp_dir folder;
  std::ofstream(folder / "c.conf") << "# comment\ndatabase = postgresql://file/d\n";
  std::ofstream(folder / ".env") << "DATABASE_URL=postgresql://env/d\n";
  config::settings settings;
  config::sources from;
  CHECK_THAT(source_of_database(settings, from), ContainsSubstring("no database is set"));
  settings.database = "postgresql://h/d";
  CHECK_THAT(source_of_database(settings, from), ContainsSubstring("Supabase project"));
  from.file = folder / "c.conf";
  CHECK_THAT(source_of_database(settings, from), ContainsSubstring("c.conf, line 2"));
  from.env_file = folder / ".env";
  CHECK_THAT(source_of_database(settings, from), ContainsSubstring(".env DATABASE_URL"));
  from.environment["DATABASE_URL"] = "postgresql://h/d";
  CHECK(source_of_database(settings, from) == "environment DATABASE_URL");
  from.environment["SUPABASE_SESSION_POOLER"] = "";
  CHECK(source_of_database(settings, from) == "environment DATABASE_URL");
  from.environment["SUPABASE_SESSION_POOLER"] = "postgresql://h/d";
  CHECK(source_of_database(settings, from) == "environment SUPABASE_SESSION_POOLER");
  from.flags.emplace_back("--database", "postgresql://h/d");
  CHECK(source_of_database(settings, from) == "flag --database");
}
