// What the doctor makes of what a server tells; with facts that were made up.
#include "cli/doctor_report_server.hpp"
#include "db/symptoms.hpp"
#include "tests/support/catch.hpp"

using namespace colloquy;
using namespace colloquy::cli;
using namespace colloquy::db::doctor;
using namespace std::chrono_literals;
using colloquy::test::ContainsSubstring;

namespace {

std::string all_of(const probe_result& result) {
  return result.summary + "\n" + result.advice;
}

pooling_facts pooling(db::endpoint_kind kind) {
  pooling_facts facts;
  facts.kind = kind;
  facts.host = "h";
  facts.port = "6432";
  return facts;
}

version_facts version_15() {
  return {std::nullopt, 150006, "15.6", "UTF8", false, false};
}

rights_facts good_rights() {
  return {std::nullopt, "app", false, {{"colloquy_service", true, true}, {"colloquy_system", true, true}}};
}

usage_facts usage(std::int64_t used) {
  usage_facts facts;
  facts.max_connections = 103;
  facts.superuser_reserved = 3;
  facts.used = used;
  facts.states = {{"idle", used, 1s}};
  return facts;
}

constexpr connection_wishes wishes{10, 60s};

schema_facts complete_schema() {
  schema_facts facts;
  facts.state = db::schema_state{};
  facts.state->version = facts.state->version_needed = 3;
  return facts;
}

const db::db_failure lost = db::make_failure("", "server closed the connection unexpectedly", false);

} // namespace

TEST_CASE("session mode is well, transaction mode fails with what to use") {
  for (const auto kind : {db::endpoint_kind::direct, db::endpoint_kind::embedded, db::endpoint_kind::pgbouncer,
                          db::endpoint_kind::supavisor})
    CHECK(judge_pooling(pooling(kind)).status == probe_status::ok);
  auto facts = pooling(db::endpoint_kind::supavisor);
  facts.second_shares_backend = true;
  CHECK(judge_pooling(facts).status == probe_status::fail);
  CHECK(judge_pooling(facts).details["mode"] == "transaction");
  CHECK_THAT(judge_pooling(facts).advice, ContainsSubstring("5432"));
  facts = pooling(db::endpoint_kind::pgbouncer);
  facts.backend_changes = true;
  CHECK_THAT(judge_pooling(facts).advice, ContainsSubstring("pool_mode = session"));
  facts = pooling(db::endpoint_kind::supavisor);
  facts.second_failure = db::make_failure("XX000", "(EMAXCONNSESSION) max clients reached in session mode", true);
  CHECK(judge_pooling(facts).status == probe_status::warn);
  CHECK_THAT(judge_pooling(facts).advice, ContainsSubstring("pool_max"));
}

TEST_CASE("every probe of the server fails when its question did") {
  auto pool = pooling(db::endpoint_kind::direct);
  pool.failure = lost;
  CHECK(judge_pooling(pool).status == probe_status::fail);
  CHECK(judge_version({lost, 0, "", "", false, false}).status == probe_status::fail);
  CHECK(judge_rights({lost, "", false, {}}, 150000).status == probe_status::fail);
  CHECK(judge_settings({lost, {}}).status == probe_status::fail);
  CHECK(judge_clocks({lost, 0ms, 0ms}).status == probe_status::fail);
  usage_facts broken;
  broken.failure = lost;
  CHECK(judge_usage(broken, wishes).status == probe_status::fail);
  schema_facts schema;
  schema.catalog_failure = lost;
  CHECK(judge_schema(schema, "public").status == probe_status::fail);
  write_facts write;
  write.failure = lost;
  write.step = "reading the session";
  CHECK(judge_writing(write).status == probe_status::fail);
  CHECK_THAT(judge_writing(write).summary, ContainsSubstring("reading the session: server closed"));
}

TEST_CASE("an old server, another encoding, a standby and a read-only database fail") {
  CHECK(judge_version(version_15()).status == probe_status::ok);
  auto facts = version_15();
  facts.number = 140011;
  CHECK(judge_version(facts).status == probe_status::fail);
  facts = version_15();
  facts.encoding = "LATIN1";
  CHECK_THAT(all_of(judge_version(facts)), ContainsSubstring("LATIN1") && ContainsSubstring("UTF8"));
  facts = version_15();
  facts.in_recovery = true;
  CHECK_THAT(all_of(judge_version(facts)), ContainsSubstring("standby") && ContainsSubstring("target_session_attrs"));
  facts = version_15();
  facts.read_only = true;
  CHECK(judge_version(facts).status == probe_status::fail);
}

TEST_CASE("missing roles and missing grants are told with what mends them") {
  CHECK(judge_rights(good_rights(), 150000).status == probe_status::ok);
  auto facts = good_rights();
  facts.roles[1].reachable = false;
  CHECK(judge_rights(facts, 150000).status == probe_status::fail);
  CHECK_THAT(judge_rights(facts, 150000).advice, ContainsSubstring("GRANT colloquy_system TO \"app\";"));
  CHECK_THAT(judge_rights(facts, 160000).advice,
             ContainsSubstring("GRANT colloquy_system TO \"app\" WITH SET TRUE, INHERIT FALSE;"));
  facts.roles[1].exists = false;
  CHECK_THAT(all_of(judge_rights(facts, 150000)),
             ContainsSubstring("no role colloquy_system") && ContainsSubstring("colloquy migrate"));
  facts = good_rights();
  facts.is_superuser = true;
  CHECK(judge_rights(facts, 150000).status == probe_status::warn);
}

TEST_CASE("settings that are not kept fail and are named") {
  settings_facts facts{std::nullopt,
                       {{"statement_timeout", "30000ms", "30s", "30s"}, {"lock_timeout", "1s", "1s", "1s"}}};
  CHECK(judge_settings(facts).status == probe_status::ok);
  CHECK_THAT(judge_settings(facts).summary, ContainsSubstring("statement_timeout 30s"));
  facts.settings[1].read_back = "0";
  CHECK(judge_settings(facts).status == probe_status::fail);
  CHECK_THAT(judge_settings(facts).summary, ContainsSubstring("lock_timeout was 1s and is 0"));
}

TEST_CASE("clocks may differ by two seconds and what the round trip hides") {
  CHECK(judge_clocks({std::nullopt, 1999ms, 0ms}).status == probe_status::ok);
  CHECK(judge_clocks({std::nullopt, 2001ms, 0ms}).status == probe_status::warn);
  CHECK(judge_clocks({std::nullopt, -2001ms, 0ms}).status == probe_status::warn);
  CHECK(judge_clocks({std::nullopt, -2900ms, 1000ms}).status == probe_status::ok);
  CHECK_THAT(judge_clocks({std::nullopt, -3h, 0ms}).summary, ContainsSubstring("3 h behind ours"));
  CHECK_THAT(judge_clocks({std::nullopt, 3s, 0ms}).summary, ContainsSubstring("3 s ahead of ours"));
}

TEST_CASE("connections are warned of from 70 % and from 90 % on") {
  CHECK(judge_usage(usage(69), wishes).status == probe_status::ok);
  const auto many = judge_usage(usage(70), wishes);
  CHECK(many.status == probe_status::warn);
  CHECK_THAT(many.advice, ContainsSubstring("Most connections"));
  const auto full = judge_usage(usage(90), wishes);
  CHECK(full.status == probe_status::warn);
  CHECK_THAT(full.advice, ContainsSubstring("Nearly no connection"));
  CHECK(full.details["percent"] == 90);
}

TEST_CASE("transactions left open, and a pool that cannot be had, are warned of") {
  auto facts = usage(10);
  facts.idle_in_transaction = 2;
  facts.idle_in_transaction_longest = 30s;
  CHECK(judge_usage(facts, wishes).status == probe_status::ok);
  CHECK_THAT(judge_usage(facts, wishes).summary, ContainsSubstring("2 idle in transaction, the longest for 30 s"));
  facts.idle_in_transaction_longest = 10min;
  CHECK(judge_usage(facts, wishes).status == probe_status::warn);

  CHECK(judge_usage(usage(65), {35, 60s}).status == probe_status::ok);
  CHECK_THAT(judge_usage(usage(65), {36, 60s}).advice, ContainsSubstring("the server has 35 connections for us"));
  facts = usage(65);
  facts.ours = 20; // which are those that we would have
  CHECK(judge_usage(facts, {55, 60s}).status == probe_status::ok);
  facts = usage(1);
  facts.role_limit = 9;
  CHECK_THAT(judge_usage(facts, wishes).advice, ContainsSubstring("the role has a connection limit of 9"));
  facts.role_limit = -1;
  facts.database_limit = 5;
  CHECK(judge_usage(facts, wishes).status == probe_status::warn);
}

TEST_CASE("long-lived connections and hidden states are mentioned") {
  auto facts = usage(2);
  facts.long_lived = 1;
  facts.oldest = 5h;
  facts.states.push_back({"not visible", 1, 0ms});
  const auto judged = judge_usage(facts, wishes);
  CHECK(judged.status == probe_status::ok);
  CHECK_THAT(judged.summary,
             ContainsSubstring("1 older than 1 h, the oldest 5 h") && ContainsSubstring("pg_read_all_stats"));
}

TEST_CASE("a schema is well only if nothing is missing, newer, changed, unsafe or without rights") {
  CHECK(judge_schema(complete_schema(), "public").status == probe_status::ok);
  const auto judged = [](auto spoil) {
    auto facts = complete_schema();
    spoil(facts);
    return judge_schema(facts, "public");
  };
  const auto behind = judged([](auto& f) { f.state->missing = {"0003_more"}; });
  CHECK(behind.status == probe_status::fail);
  CHECK_THAT(all_of(behind), ContainsSubstring("0003_more") && ContainsSubstring("colloquy migrate"));
  CHECK(judged([](auto& f) { f.state->newer = {"0009_later"}; }).status == probe_status::fail);
  CHECK(judged([](auto& f) { f.state->changed = {"0001 has another text"}; }).status == probe_status::fail);
  CHECK(judged([](auto& f) { f.state->unsafe = {"owns the tables"}; }).status == probe_status::fail);
  CHECK_THAT(judged([](auto& f) { f.state->rights = {"GRANT x TO y;"}; }).advice, ContainsSubstring("GRANT x TO y;"));
  const auto dropped = judged([](auto& f) { f.missing = {"a", "b", "c", "d", "index e", "index f"}; });
  CHECK(dropped.status == probe_status::fail);
  CHECK_THAT(dropped.summary, ContainsSubstring("a, b, c, d and 2 more"));
  CHECK(dropped.details["missing"].size() == 6);
  CHECK_THAT(dropped.advice, ContainsSubstring("Run `colloquy migrate`") && ContainsSubstring("restore"));
  CHECK(judged([](auto& f) { f.invalid = {"index e"}; }).status == probe_status::warn);
  CHECK(judged([](auto& f) {
          f.failure = error{error_code::conflict, "may not read", {}};
        }).status == probe_status::fail);
}

TEST_CASE("a write that is lost, seen by others, or not rolled back fails") {
  write_facts facts;
  facts.found_again = facts.hidden_from_others = facts.rolled_back = true;
  facts.took = 7ms;
  CHECK(judge_writing(facts).status == probe_status::ok);
  CHECK(judge_writing(facts).took == 7ms);
  for (bool write_facts::*each :
       {&write_facts::found_again, &write_facts::hidden_from_others, &write_facts::rolled_back}) {
    auto spoilt = facts;
    spoilt.*each = false;
    CHECK(judge_writing(spoilt).status == probe_status::fail);
    CHECK_FALSE(judge_writing(spoilt).advice.empty());
  }
}

TEST_CASE("what only a dashboard shows is named") {
  CHECK(judge_dashboard(true).status == probe_status::skip);
  CHECK_THAT(all_of(judge_dashboard(true)), ContainsSubstring("CPU") && ContainsSubstring("Supabase"));
  CHECK_THAT(judge_dashboard(false).advice, ContainsSubstring("iostat"));
}
