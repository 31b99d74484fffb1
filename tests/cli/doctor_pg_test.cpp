// `colloquy doctor` as the real program, at servers that are well and at such as are not.
#include "db/doctor_facts.hpp"
#include "tests/cli/program_run.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/free_port.hpp"
#include "tests/support/own_cluster.hpp"
#include "tests/support/pgbouncer.hpp"
#include "tests/support/tcp_proxy.hpp"
#include "tests/support/test_cluster.hpp"

#include <nlohmann/json.hpp>

#include <set>

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;
using colloquy::cli::test::program_run;

namespace {

/// What the program said in JSON.
struct examined {
  int exit_code = -1;
  nlohmann::json said;
  std::string text; ///< all of it, standard error too

  nlohmann::json probe(const std::string& name) const {
    for (const auto& each : said.at("probes"))
      if (each.at("name") == name)
        return each;
    throw std::runtime_error("no probe " + name + " in " + text);
  }
  std::string status(const std::string& name) const { return probe(name).at("status"); }
  std::string words(const std::string& name) const {
    const auto found = probe(name);
    return found.at("summary").get<std::string>() + "\n" + found.at("advice").get<std::string>();
  }
  /// Names of those with that status.
  std::set<std::string> with(const std::string& wanted) const {
    std::set<std::string> names;
    for (const auto& each : said.at("probes"))
      if (each.at("status") == wanted)
        names.insert(each.at("name"));
    return names;
  }
};

examined examine(const std::string& conninfo, const std::vector<std::string>& more = {}) {
  std::vector<std::string> words{"doctor", "--json", "--database", conninfo, "--pool-max", "10"};
  words.insert(words.end(), more.begin(), more.end());
  program_run run(std::move(words));
  examined found;
  found.exit_code = run.wait();
  found.text = run.out() + run.err();
  UNSCOPED_INFO(found.text);
  found.said = nlohmann::json::parse(run.out());
  return found;
}

using names = std::set<std::string>;

own_cluster with_tls(const certificate& shown) {
  own_cluster_options options;
  options.tls = shown;
  return own_cluster(std::move(options));
}

certificate_request valid_for_long() {
  certificate_request request;
  request.ends_in = std::chrono::hours(24 * 60);
  return request;
}

const std::vector<std::string> all_probes{"configuration", "dns",     "tcp",        "tls",      "login",
                                          "pooler",        "version", "rights",     "settings", "clocks",
                                          "connections",   "schema",  "read_write", "dashboard"};

} // namespace

TEST_CASE("on a migrated database over TLS everything is well, and nothing is left behind") {
  const temp_dir folder;
  const certificate_authority authority;
  const auto strict = "sslmode=verify-full sslrootcert=" + authority.write_to(folder / "trusted.crt");
  const auto cluster = with_tls(authority.issue(valid_for_long()));
  const auto found = examine(cluster.conninfo("colloquy", strict));
  CHECK(found.exit_code == 0);
  CHECK(found.said.at("verdict") == "ok");
  CHECK(found.with("warn") == names{});
  CHECK(found.with("fail") == names{});
  CHECK(found.with("skip") == names{"dashboard"});
  std::vector<std::string> order;
  for (const auto& each : found.said.at("probes"))
    order.push_back(each.at("name"));
  CHECK(order == all_probes);
  CHECK_THAT(found.words("tls"), ContainsSubstring("TLSv1."));
  CHECK_THAT(found.words("login"), ContainsSubstring("encrypted") && !ContainsSubstring("not encrypted"));
  CHECK(found.probe("pooler").at("details").at("kind") == "direct");
  CHECK(cluster.value("SELECT (SELECT count(*) FROM sessions) + (SELECT count(*) FROM writers)") == "0");
  CHECK_THAT(found.text, !ContainsSubstring(cluster.password_of("colloquy")));
}

TEST_CASE("wrong authority, wrong name and an expired certificate are told apart") {
  const temp_dir folder;
  const certificate_authority authority;
  const auto strict = "sslmode=verify-full sslrootcert=" + authority.write_to(folder / "trusted.crt");
  auto cluster = with_tls(authority.issue(valid_for_long()));
  const auto other = certificate_authority("Another").write_to(folder / "other.crt");

  const auto stranger = examine(cluster.conninfo("colloquy", "sslmode=verify-full sslrootcert=" + other));
  CHECK(stranger.exit_code == 1);
  CHECK(stranger.with("fail") == names{"tls", "login"});
  CHECK_THAT(stranger.words("tls"), ContainsSubstring("no authority in " + other) && !ContainsSubstring("not for"));
  CHECK_THAT(stranger.said.at("next").get<std::string>(), ContainsSubstring("tls: "));

  const auto misnamed = examine(cluster.conninfo("colloquy", strict + " host=db.example.com hostaddr=127.0.0.1"));
  CHECK_THAT(misnamed.words("tls"), ContainsSubstring("not for db.example.com") && !ContainsSubstring("no authority"));

  auto request = valid_for_long();
  request.ends_in = -1h;
  cluster.replace_certificate(authority.issue(request));
  const auto expired = examine(cluster.conninfo("colloquy", strict));
  CHECK(expired.with("fail") == names{"tls", "login"});
  CHECK_THAT(expired.words("tls"), ContainsSubstring("it expired on") && !ContainsSubstring("no authority"));

  request.ends_in = 5 * 24h;
  cluster.replace_certificate(authority.issue(request));
  const auto soon = examine(cluster.conninfo("colloquy", strict));
  CHECK(soon.exit_code == 0);
  CHECK(soon.said.at("verdict") == "warnings");
  CHECK(soon.with("warn") == names{"tls"});
}

TEST_CASE("a wrong password fails at the login and is never shown, nor is any key") {
  const auto cluster = with_tls(certificate_authority().issue(valid_for_long()));
  const std::string key = "sb_secret_plantedkey";
  const auto found = examine(cluster.conninfo_with("colloquy", "plantedpassword", "sslmode=require"),
                             {"--supabase-key", key, "--supabase-service-role-key", "plantedservicekey"});
  CHECK(found.exit_code == 1);
  CHECK(found.with("fail") == names{"login"});
  CHECK(found.probe("login").at("details").at("symptom") == "password-wrong");
  CHECK_THAT(found.words("configuration"), ContainsSubstring("secret key") && ContainsSubstring("20 characters") &&
                                               ContainsSubstring("database password"));
  CHECK_THAT(found.text, !ContainsSubstring("planted"));
  CHECK_THAT(found.words("read_write"), ContainsSubstring("skipped: because nobody is logged in"));

  program_run spoken({"doctor", "--advise", "--supabase-key", key, "--database",
                      cluster.conninfo_with("colloquy", "plantedpassword", "sslmode=require")});
  CHECK(spoken.wait() == 1);
  CHECK_THAT(spoken.out(), ContainsSubstring("[fail] login") && ContainsSubstring("verdict  failed") &&
                               ContainsSubstring("sizing") && !ContainsSubstring("\x1b["));
  CHECK_THAT(spoken.out() + spoken.err(), !ContainsSubstring("planted"));
}

TEST_CASE("a server that is down fails at the door") {
  const auto found = examine("host=127.0.0.1 port=" + std::to_string(free_port()) + " user=u password=p");
  CHECK(found.exit_code == 1);
  CHECK(found.with("fail") == names{"tcp"});
  CHECK_THAT(found.words("tcp"), ContainsSubstring("refused"));
  CHECK_THAT(found.words("tls"), ContainsSubstring("skipped: because nobody can be reached"));
}

TEST_CASE("PgBouncer in session mode is well, in transaction mode it fails with what to do") {
  if (!pgbouncer::installed())
    return;
  const own_cluster cluster;
  const pgbouncer by_session(in_front_of(cluster, "session"));
  const auto good = examine(by_session.conninfo());
  CHECK(good.exit_code == 0);
  CHECK(good.with("fail") == names{});
  CHECK(good.probe("pooler").at("details").at("kind") == "PgBouncer");
  CHECK(good.probe("pooler").at("details").at("mode") == "session");

  const pgbouncer by_transaction(in_front_of(cluster, "transaction"));
  const auto bad = examine(by_transaction.conninfo());
  CHECK(bad.exit_code == 1);
  CHECK(bad.with("fail") == names{"pooler"});
  CHECK(bad.probe("pooler").at("details").at("mode") == "transaction");
  CHECK_THAT(bad.said.at("next").get<std::string>(), ContainsSubstring("pool_mode = session"));
  CHECK(bad.status("settings") == "skip");
}

TEST_CASE("a database without the schema fails with the command that makes it") {
  const auto database = test_database::make_empty();
  const auto found = examine(database.owner_conninfo());
  CHECK(found.exit_code == 1);
  CHECK(found.with("fail").contains("schema"));
  CHECK_THAT(found.words("schema"), ContainsSubstring("colloquy migrate"));
  CHECK_THAT(found.words("read_write"), ContainsSubstring("skipped: because"));
}

TEST_CASE("a login that may not become the service fails with the grant that it needs") {
  const own_cluster cluster;
  // From PostgreSQL 16 on a grant goes with who gave it.
  const bool has_grantors = cluster.value("SELECT current_setting('server_version_num')::int >= 160000") == "t";
  cluster.value(std::string("REVOKE colloquy_service FROM colloquy") +
                (has_grantors ? " GRANTED BY colloquy_owner" : ""));
  const auto found = examine(cluster.conninfo());
  CHECK(found.exit_code == 1);
  CHECK(found.with("fail").contains("rights"));
  CHECK_THAT(found.said.at("next").get<std::string>(), ContainsSubstring("GRANT colloquy_service TO \"colloquy\""));
  CHECK(found.status("settings") == "ok"); // all but the role
  CHECK_THAT(found.words("read_write"), ContainsSubstring("may not become the service"));
}

TEST_CASE("with nobody answering each probe stays within its time") {
  const own_cluster cluster;
  tcp_proxy proxy(target_of(cluster.conninfo()));
  proxy.swallow(flow::both);
  const auto found = examine(proxy.through(cluster.conninfo()));
  CHECK(found.exit_code == 1);
  CHECK(found.status("tcp") == "ok");
  CHECK(found.status("login") == "fail");
  CHECK(found.probe("login").at("details").at("symptom") == "connect-timeout");
  for (const auto& each : found.said.at("probes")) { // with a second for a machine that is busy
    INFO(each.dump());
    CHECK(each.at("took_ms").get<std::int64_t>() <= db::doctor::probe_limit.count() + 1000);
  }
}

TEST_CASE("tables that somebody has locked are given up in time, and what blocks is said") {
  const own_cluster cluster;
  test_connection holder(cluster.superuser_conninfo());
  holder.exec("BEGIN");
  holder.exec("LOCK TABLE schema_migrations, sessions");
  const auto found = examine(cluster.conninfo());
  CHECK(found.exit_code == 1);
  CHECK(found.with("fail") == names{"schema", "read_write"});
  CHECK_THAT(found.words("schema"), ContainsSubstring("holds a lock"));
  CHECK(found.probe("read_write").at("details").at("symptom") == "lock-timeout");
}

TEST_CASE("the embedded server is started, examined and stopped, and sizes are advised") {
  const temp_dir folder;
  program_run run({"doctor", "--json", "--advise", "--data-dir", (folder / "data").string(), "--disks", "3", "--cores",
                   "2", "--concurrency", "10"});
  CHECK(run.wait() == 0);
  UNSCOPED_INFO(run.out() + run.err());
  const auto said = nlohmann::json::parse(run.out());
  CHECK(said.at("verdict") == "ok");
  CHECK(said.at("sizing").at("by_cores") == 7);
  CHECK(said.at("sizing").at("by_concurrency") == 12);
  CHECK(said.at("sizing").at("pool_max") == 12);
  CHECK(said.at("sizing").at("used_by_others") == 0);
  CHECK_FALSE(std::filesystem::exists(folder / "data" / "postgres" / "postmaster.pid"));
}

TEST_CASE("a wrong setting is told as for every subcommand, and nothing is examined") {
  program_run run({"doctor", "--pool-max", "1", "--data-dir", "/tmp"});
  CHECK(run.wait() == 2);
  CHECK(run.out().empty());
  CHECK_THAT(run.err(), ContainsSubstring("pool_max"));
}
