// Tenants on stepped time: what is refused, what is kept until the database has it, and what becomes of it at the end.
#include "tests/actors/tenants_fixture.hpp"
#include "tests/support/catch.hpp"

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;
using namespace std::string_literals;

namespace {

const auto acme = tenant_id::parse("acme").value();
const auto globex = tenant_id::parse("globex").value();

write_audit entry(const std::string& target = "s1", bool wait = false) {
  write_audit request;
  request.entry.tenant = acme;
  request.entry.by = {"key:p", "r1"};
  request.entry.action = "session.create";
  request.entry.target_kind = "session";
  request.entry.target = target;
  request.wait = wait;
  return request;
}

create_key key() {
  create_key request;
  request.tenant = acme;
  request.scopes.read = true;
  request.digest = {"prefix", std::string(32, 'x')};
  return request;
}

actors::flush_tenants flush_within(stepped_tenants& tenants, std::chrono::milliseconds time) {
  return {tenants.steps.system().clock().now() + time};
}

/// The entries of a batch are in arrays as long as there are.
std::size_t entries_in(const actors::run_unit& unit) {
  const auto bytes = unit.work->calls.at(1).parameters.at(2).value(); // uuids: a header of 20, then 4 + 16 each
  return (bytes.size() - 20) / 20;
}

bool is_purpose(const actors::run_unit& unit, std::string_view purpose) {
  return unit.purpose == purpose;
}

/// These fail, in that way.
void let_fail(stepped_tenants& tenants, std::string_view purpose, db::failure_kind kind) {
  tenants.pool.answering = [purpose, kind](const actors::run_unit& unit) {
    return is_purpose(unit, purpose) ? failed(kind) : done(unit.work->calls.size());
  };
}
void let_pass(stepped_tenants& tenants) {
  tenants.pool.answering = [](const actors::run_unit& unit) { return done(unit.work->calls.size()); };
}
void hold(stepped_tenants& tenants, std::string_view purpose) {
  tenants.pool.holding = [purpose](const actors::run_unit& unit) { return is_purpose(unit, purpose); };
}

} // namespace

TEST_CASE("what the database could refuse of tenants and keys is refused before it is asked") {
  stepped_tenants tenants;
  const auto refused = [&](auto request) { return tenants.refusal(std::move(request)) == error_code::invalid_request; };
  create_tenant made;
  CHECK(refused(made)); // without an id
  made.id = acme;
  made.title = std::string(1001, 'x');
  CHECK(refused(made));
  made.title = "a\0b"s;
  CHECK(refused(made));
  made.title = "";
  made.quotas.connections_max = 0;
  CHECK(refused(made));
  made.quotas = {};
  made.repeat = idempotency{"", "print"};
  CHECK(refused(made));
  set_quotas quotas;
  quotas.id = acme;
  quotas.quotas.requests_per_s = -1;
  CHECK(refused(quotas));
  CHECK(refused(list_tenants{0}));
  CHECK(refused(list_tenants{1001}));
  CHECK(refused(list_tenants{1, "NO"}));

  for (const auto& change : std::vector<std::function<void(create_key&)>>{
           [](auto& of) { of.scopes = {}; }, [](auto& of) { of.name = std::string(256, 'x'); },
           [](auto& of) { of.name = "\xff"; }, [](auto& of) { of.user_id = ""; }, [](auto& of) { of.expires_in = 0s; },
           [](auto& of) { of.expires_in = std::chrono::years{11}; }, [](auto& of) { of.digest.sha256 = "short"; },
           [](auto& of) { of.digest.prefix = ""; }, [](auto& of) { of.by.name = std::string(1101, 'x'); }}) {
    auto wanted = key();
    change(wanted);
    CHECK(refused(wanted));
  }
  rotate_key rotation{acme, key_id::make(), 8 * 24h, key().digest, {}};
  CHECK(refused(rotation));
  rotation.grace = -1s;
  CHECK(refused(rotation));
  CHECK(refused(list_keys{acme, 0, ""}));
  CHECK(refused(list_keys{acme, 1, "bad"}));
  CHECK(refused(ensure_admin_key{"short"}));
  read_audit wanted;
  wanted.tenant = acme;
  wanted.action = "\xff";
  CHECK(refused(wanted));
  CHECK(refused(entry(std::string(1101, 'x'))));
  CHECK(refused(entry("a\0b"s)));
  const auto found = tenants.ask(find_key{"\xff"}); // nobody's
  REQUIRE(found);
  CHECK_FALSE(found->key);
  tenants.steps.advance(2s);
  CHECK(tenants.pool.seen.empty());
}

TEST_CASE("each request goes to the pool as its tenant's, with a purpose and a deadline, and may run again") {
  stepped_tenants tenants;
  const auto now = tenants.steps.system().clock().now();
  CHECK(tenants.refusal(get_tenant{acme}) == error_code::not_found);
  const auto& unit = tenants.pool.last("get_tenant");
  CHECK(unit.tenant == "acme");
  CHECK(unit.deadline == now + 5s);
  CHECK(unit.idempotent);
  REQUIRE(tenants.ask(find_key{"p"}));
  CHECK(tenants.pool.last("find_api_key").tenant == "");
  CHECK(tenants.refusal(key()) == error_code::not_found);
  CHECK(tenants.pool.last("create_key").tenant == "acme");
  CHECK(tenants.ask(list_tenants{}));
  CHECK(tenants.ask(list_keys{acme}));
  let_fail(tenants, "list_keys", db::failure_kind::wait);
  CHECK(tenants.refusal(list_keys{acme}) == error_code::database_unavailable);
}

TEST_CASE("past a number of requests under way more are overloaded; who is under way at the end is told so") {
  stepped_tenants tenants([](auto& options) { options.under_way_max = 2; });
  hold(tenants, "get_tenant");
  std::vector<pending_answer<tenant_record>> answers;
  for (int i = 0; i < 2; ++i)
    answers.push_back(tenants.begin(get_tenant{acme}));
  CHECK(tenants.refusal(get_tenant{acme}) == error_code::overloaded);
  tenants.pool.answer_held();
  tenants.steps.run();
  CHECK(answers[0]->has_value());
  answers.push_back(tenants.begin(get_tenant{acme}));
  tenants.end();
  for (std::size_t i = 1; i < 3; ++i) {
    REQUIRE(answers[i]->has_value());
    CHECK((*answers[i])->failure().code == error_code::internal);
  }
}

TEST_CASE("audit entries that nobody waits for are answered at once and written together") {
  stepped_tenants tenants;
  for (int i = 0; i < 20; ++i)
    CHECK(tenants.ask(entry()));
  CHECK(tenants.pool.seen.empty());
  tenants.steps.advance(200ms);
  REQUIRE(tenants.pool.count("write_audit") == 1);
  CHECK(entries_in(tenants.pool.last("write_audit")) == 20);
  tenants.steps.advance(10s);
  CHECK(tenants.pool.seen.size() == 1); // nothing to do costs nothing
}

TEST_CASE("an audit entry that is waited for is written at once, and answered when it is durable") {
  stepped_tenants tenants;
  hold(tenants, "write_audit");
  REQUIRE(tenants.ask(entry("first")));
  auto waiting = tenants.begin(entry("second", true));
  REQUIRE(tenants.pool.held.size() == 1);
  CHECK(entries_in(tenants.pool.held[0].unit) == 2); // with what came before it
  CHECK_FALSE(*waiting);
  auto next = tenants.begin(entry("third", true));
  CHECK(tenants.pool.held.size() == 1); // one batch after the other
  tenants.pool.answer_held();
  tenants.steps.run();
  REQUIRE(*waiting);
  CHECK((*waiting)->has_value());
  CHECK_FALSE(*next);
  REQUIRE(tenants.pool.held.size() == 1);
  tenants.pool.answer_held();
  tenants.steps.run();
  CHECK(*next);
}

TEST_CASE("while the database is away audit entries are kept, up to a number, and written when it is back") {
  stepped_tenants tenants([](auto& options) {
    options.audit_entries_max = 10;
    options.audit_batch_max = 4;
  });
  let_fail(tenants, "write_audit", db::failure_kind::connection_lost);
  auto waiting = tenants.begin(entry("waited for", true));
  for (int i = 0; i < 9; ++i)
    CHECK(tenants.ask(entry()));
  const auto full = tenants.ask(entry());
  REQUIRE_FALSE(full);
  CHECK(full.failure().code == error_code::overloaded);
  CHECK(full.failure().retry_after);
  tenants.steps.advance(4s);
  CHECK_FALSE(*waiting);
  CHECK(tenants.pool.count("write_audit") <= 5); // not every time that it could
  tenants.steps.advance(2s);
  REQUIRE(*waiting);
  CHECK((*waiting)->failure().code == error_code::deadline_exceeded);
  let_pass(tenants);
  const auto before = tenants.pool.seen.size();
  tenants.steps.advance(2s);
  std::size_t written = 0;
  for (auto each = tenants.pool.seen.begin() + static_cast<std::ptrdiff_t>(before); each != tenants.pool.seen.end();
       ++each) {
    CHECK(entries_in(*each) <= 4);
    written += entries_in(*each);
  }
  CHECK(written == 10); // the late one too
  CHECK(tenants.ask(entry()));
}

TEST_CASE("an entry that the database refuses keeps no other back") {
  stepped_tenants tenants;
  std::size_t written = 0;
  tenants.pool.answering = [&](const actors::run_unit& unit) {
    if (unit.work->calls.at(1).parameters.at(7).value().find("bad") != std::string::npos)
      return failed(db::failure_kind::data);
    written += entries_in(unit);
    return done(unit.work->calls.size());
  };
  for (int i = 0; i < 20; ++i)
    CHECK(tenants.ask(entry(i == 7 ? "bad" : "good")));
  auto waiting = tenants.begin(entry("bad", true));
  tenants.steps.advance(2s);
  CHECK(written == 19);
  REQUIRE(*waiting);
  CHECK((*waiting)->failure().code == error_code::invalid_request);
  CHECK(tenants.ask(flush_within(tenants, 1s))->audit_entries_left == 0);
}

TEST_CASE("what the writer has counted is added every second, each count until the database has it and once") {
  stepped_tenants tenants;
  const auto number = [&](const actors::run_unit& unit) { return unit.work->calls.at(1).parameters.at(1).value(); };
  tenants.meter->add(acme, {1, 10});
  tenants.meter->add(acme, {0, 5});
  tenants.steps.advance(1s);
  REQUIRE(tenants.pool.count("count_usage") == 1);
  const auto first = number(tenants.pool.last("count_usage"));
  tenants.steps.advance(5s);
  CHECK(tenants.pool.count("count_usage") == 1); // nothing more

  let_fail(tenants, "count_usage", db::failure_kind::connection_lost);
  tenants.meter->add(acme, {0, 7});
  tenants.steps.advance(1s);
  REQUIRE(tenants.pool.count("count_usage") == 2);
  const auto second = tenants.pool.last("count_usage");
  CHECK(number(second) > first);
  tenants.meter->add(globex, {1, 1});
  tenants.steps.advance(1s);
  REQUIRE(tenants.pool.count("count_usage") == 3);
  CHECK(tenants.pool.last("count_usage").work->calls.at(1).parameters == second.work->calls.at(1).parameters);
  let_pass(tenants);
  tenants.steps.advance(1s); // the same again, then what has come meanwhile
  REQUIRE(tenants.pool.count("count_usage") == 5);
  CHECK(number(tenants.pool.last("count_usage")) > number(second));
  CHECK(tenants.pool.last("count_usage").work->calls.at(1).parameters.at(2)->find("globex") != std::string::npos);
}

TEST_CASE("the latest use of a key is written once a minute, of so many keys") {
  stepped_tenants tenants([](auto& options) {
    options.key_uses_max = 3;
    options.rows_per_write_max = 2;
  });
  const auto id = key_id::make();
  const auto at = tenants.steps.clock()();
  const auto use = [&](key_id of, std::chrono::seconds after) {
    caf::anon_send(tenants.actor, note_key_use{acme, of, at + after});
    tenants.steps.run();
  };
  use(id, 2s);
  use(id, 1s);
  tenants.steps.advance(59s);
  CHECK(tenants.pool.seen.empty());
  let_fail(tenants, "note_key_uses", db::failure_kind::wait);
  tenants.steps.advance(1s);
  REQUIRE(tenants.pool.count("note_key_uses") == 1);
  CHECK(
      tenants.pool.last("note_key_uses").work->calls.at(1).parameters.at(2)->ends_with(db::encode_timestamp(at + 2s)));
  let_pass(tenants);
  for (int i = 0; i < 5; ++i)
    use(key_id::make(), 1s);
  tenants.steps.advance(60s); // three, two at a time
  CHECK(tenants.pool.count("note_key_uses") == 3);
  tenants.steps.advance(120s);
  CHECK(tenants.pool.count("note_key_uses") == 3);
}

TEST_CASE("a flush is answered when nothing is left to write, or tells at its deadline how much is") {
  stepped_tenants tenants;
  CHECK(tenants.ask(flush_within(tenants, 1s)));
  caf::anon_send(tenants.actor, note_key_use{acme, key_id::make(), timestamp{}});
  REQUIRE(tenants.ask(entry()));
  tenants.meter->add(acme, {1, 1});
  const auto nothing = tenants.ask(flush_within(tenants, 1s));
  REQUIRE(nothing);
  CHECK(nothing->audit_entries_left == 0);
  CHECK(nothing->tenants_uncounted == 0);
  for (const auto* purpose : {"write_audit", "count_usage", "note_key_uses"})
    CHECK(tenants.pool.count(purpose) == 1);

  tenants.pool.answering = [](const actors::run_unit&) { return failed(db::failure_kind::wait); };
  REQUIRE(tenants.ask(entry()));
  REQUIRE(tenants.ask(entry()));
  tenants.meter->add(acme, {1, 1});
  auto flushed = tenants.begin(flush_within(tenants, 3s));
  tenants.steps.advance(2s);
  CHECK_FALSE(*flushed);
  tenants.steps.advance(1s);
  REQUIRE(*flushed);
  CHECK((*flushed)->value().audit_entries_left == 2);
  CHECK((*flushed)->value().tenants_uncounted == 1);
}

TEST_CASE("at the end those who wait for an entry or a flush are answered") {
  stepped_tenants tenants;
  hold(tenants, "write_audit");
  auto waiting = tenants.begin(entry("s", true));
  auto flushed = tenants.begin(flush_within(tenants, 1h));
  tenants.end();
  REQUIRE(*waiting);
  CHECK((*waiting)->failure().code == error_code::internal);
  REQUIRE(*flushed);
  CHECK((*flushed)->failure().code == error_code::internal);
}

TEST_CASE("if it dies another takes over, and writes what it had taken") {
  stepped_tenants tenants;
  let_fail(tenants, "count_usage", db::failure_kind::connection_lost);
  tenants.meter->add(acme, {1, 1});
  tenants.steps.advance(1s);
  const auto counted = tenants.pool.last("count_usage").work->calls.at(1).parameters;
  REQUIRE(tenants.ask(entry()));
  hold(tenants, "get_tenant");
  auto under_way = tenants.begin(get_tenant{acme});
  tenants.is_to_die = true;
  auto killer = tenants.steps.ask<audit_written>(tenants.actor, entry(), 1s);
  tenants.steps.run();
  REQUIRE(*under_way);
  CHECK((*under_way)->failure().code == error_code::internal);
  let_pass(tenants);
  tenants.steps.advance(2s);
  CHECK(entries_in(tenants.pool.last("write_audit")) == 1);
  CHECK(tenants.pool.last("count_usage").work->calls.at(1).parameters == counted); // under the same number
  tenants.pool.holding = [](const auto&) { return false; };
  CHECK(tenants.refusal(get_tenant{acme}) == error_code::not_found);
  REQUIRE(*killer); // whose own time was over: nobody answers what an exception went through
  CHECK_FALSE((*killer)->has_value());
}
