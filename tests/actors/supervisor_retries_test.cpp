// Units that fail: which are tried again, how often, when, and on what.
#include "tests/support/catch.hpp"
#include "tests/support/stepped_pool.hpp"

#include <algorithm>
#include <array>

using namespace colloquy;
using namespace colloquy::actors;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

const db::db_failure deadlock = db::make_failure("40P01", "deadlock detected");
const db::db_failure constraint = db::make_failure("23505", "duplicate key value violates unique constraint");
const db::db_failure lost{db::failure_kind::connection_lost, "", "server closed the connection unexpectedly"};

std::chrono::milliseconds between(const unit_run& first, const unit_run& second) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(second.started - first.ended);
}

} // namespace

TEST_CASE("a failure that may pass is tried three times in all, after about 1 s and 2 s") {
  stepped_pool pool(pool_of(2, 2));
  pool.warm_up();
  pool.server.all_units_fail = deadlock;
  auto client = pool.client();
  auto unit = client.run(unit_for("acme"));
  pool.advance(10s);
  REQUIRE(unit->has_come());
  REQUIRE(unit->value->failure);
  CHECK(unit->value->failure->sqlstate == "40P01");
  const auto& runs = pool.server.units;
  REQUIRE(runs.size() == 3);
  CHECK(between(runs[0], runs[1]) >= 700ms);
  CHECK(between(runs[0], runs[1]) <= 1600ms); // 25 % of jitter, and a tick
  CHECK(between(runs[1], runs[2]) >= 1400ms);
  CHECK(between(runs[1], runs[2]) <= 2900ms);
  const auto numbers = pool.status().numbers;
  CHECK(numbers.retries == 2);
  CHECK(numbers.errors.at("retry") == 3);
  CHECK(pool.status().waiting == 0);
}

TEST_CASE("the jitter spreads the tries of those that failed together") {
  auto options = pool_of(5, 5);
  options.pipeline_depth = 10;
  stepped_pool pool(options);
  pool.warm_up();
  auto client = pool.client();
  std::vector<unit_answer> units;
  for (int i = 0; i < 40; ++i) {
    pool.server.unit_failures.push_back(deadlock);
    units.push_back(client.run(unit_for()));
  }
  pool.server.service_time = 0ms;
  pool.advance(5s);
  auto soonest = units[0]->waited(), latest = soonest;
  for (const auto& unit : units) {
    REQUIRE(unit->has_come());
    CHECK_FALSE(unit->value->failure);
    soonest = std::min(soonest, unit->waited());
    latest = std::max(latest, unit->waited());
  }
  CHECK(latest - soonest >= 200ms);
}

TEST_CASE("one that passes at the second try is answered with success, and nobody sees the failure") {
  stepped_pool pool(pool_of(2, 2));
  pool.warm_up();
  pool.server.unit_failures = {deadlock};
  auto client = pool.client();
  auto unit = client.run(unit_for());
  pool.advance(3s);
  REQUIRE(unit->has_come());
  CHECK(unit->times == 1);
  CHECK_FALSE(unit->value->failure);
  CHECK(pool.server.units.size() == 2);
}

TEST_CASE("what fails for good is tried once") {
  stepped_pool pool(pool_of(2, 2));
  pool.warm_up();
  auto client = pool.client();
  for (const auto& failure : {constraint, db::make_failure("42P01", "relation \"x\" does not exist"),
                              db::make_failure("42601", "syntax error")}) {
    const auto before = pool.server.units.size();
    pool.server.unit_failures = {failure};
    auto unit = client.run(unit_for("", /*idempotent=*/true));
    pool.advance(5s);
    REQUIRE(unit->has_come());
    REQUIRE(unit->value->failure);
    CHECK(unit->value->failure->sqlstate == failure.sqlstate);
    CHECK(pool.server.units.size() == before + 1);
  }
}

TEST_CASE("one whose outcome is unknown is tried again only if it is idempotent") {
  for (const bool is_idempotent : {false, true}) {
    stepped_pool pool(pool_of(2, 2));
    pool.warm_up();
    pool.server.unit_failures = {lost};
    auto client = pool.client();
    auto unit = client.run(unit_for("", is_idempotent));
    pool.advance(5s);
    REQUIRE(unit->has_come());
    CHECK(unit->value->failure.has_value() == !is_idempotent);
    CHECK(pool.server.units.size() == (is_idempotent ? 2 : 1));
  }
}

TEST_CASE("a backend that is cut with units on it: the idempotent ones go to others, the others are unknown") {
  stepped_pool pool(pool_of(2, 2));
  pool.warm_up();
  pool.advance(2s);
  pool.server.service_time = 1s;
  auto client = pool.client();
  auto again = client.run(unit_for("", /*idempotent=*/true));
  auto once = client.run(unit_for());
  pool.advance(500ms);
  pool.server.cut_all();
  pool.advance(6s);
  REQUIRE(again->has_come());
  CHECK_FALSE(again->value->failure);
  REQUIRE(once->has_come());
  REQUIRE(once->value->failure);
  CHECK(once->value->failure->kind == db::failure_kind::connection_lost);
}

TEST_CASE("no try begins for which the deadline leaves no time") {
  stepped_pool pool(pool_of(2, 2));
  pool.warm_up();
  pool.server.all_units_fail = deadlock;
  auto client = pool.client();
  auto request = unit_for();
  request.deadline = pool.now() + 2s;
  auto unit = client.run(request);
  pool.advance(5s);
  REQUIRE(unit->has_come());
  CHECK(unit->waited() <= 2s);
  CHECK(pool.server.units.size() == 2);
  CHECK(unit->value->failure->sqlstate == "40P01"); // the reason, not that time ran out
}

TEST_CASE("a unit that its backend never sent goes to another at once, and that is no try") {
  stepped_pool pool(pool_of(2, 2));
  pool.warm_up();
  pool.advance(2s);
  auto client = pool.client();
  // The pool learns of the loss after it has handed units over.
  pool.server.cut_all();
  std::vector<unit_answer> units;
  for (int i = 0; i < 4; ++i)
    units.push_back(client.run(unit_for()));
  pool.server.unit_failures = {deadlock, deadlock, deadlock, deadlock, deadlock, deadlock, deadlock, deadlock};
  pool.advance(10s);
  for (const auto& unit : units) {
    REQUIRE(unit->has_come());
    CHECK_FALSE(unit->value->failure); // three tries: two fail, the third does not
  }
  CHECK(pool.server.units.size() == 12);
}

TEST_CASE("an asker that dies between two tries leaves no trace") {
  stepped_pool pool(pool_of(2, 2));
  pool.warm_up();
  pool.server.unit_failures = {deadlock};
  auto client = pool.client();
  client.run(unit_for("gone"));
  pool.advance(100ms);
  REQUIRE(pool.server.units.size() == 1);
  client.die();
  REQUIRE(pool.control(pause_pool{}));
  pool.advance(3s);
  CHECK(pool.status().waiting == 0);
}

TEST_CASE("units of a lease are never tried again by the pool") {
  stepped_pool pool(pool_of(2, 2));
  pool.warm_up();
  auto client = pool.client();
  const auto lease = client.lease(lease_for());
  pool.advance(50ms);
  REQUIRE(lease->has_come());
  pool.server.unit_failures = {deadlock};
  auto unit = client.run_on(lease, unit_for("", /*idempotent=*/true));
  pool.advance(5s);
  REQUIRE(unit->has_come());
  REQUIRE(unit->value->failure);
  CHECK(pool.server.units.size() == 1);
}

TEST_CASE("a tenant's limit still holds after its units have failed, been tried again and been lost") {
  auto options = pool_of(3, 3);
  options.pipeline_depth = 1;
  options.tenant_backends_max = 1;
  stepped_pool pool(options);
  pool.warm_up();
  auto client = pool.client();
  for (int round = 0; round < 5; ++round) {
    pool.server.unit_failures = {deadlock};
    client.run(unit_for("acme", /*idempotent=*/true));
    client.run(unit_for("acme"));
    pool.server.service_time = 500ms;
    pool.advance(250ms);
    pool.server.cut_all();
    pool.advance(10s, 25ms);
  }
  for (std::size_t i = 0; i < 3; ++i) { // actors that end without a word
    client.run(unit_for("acme"));
    pool.advance(250ms);
    pool.server.kill_all();
    pool.advance(5s, 25ms);
  }
  pool.server.service_time = 1s;
  auto first = client.run(unit_for("acme"));
  auto second = client.run(unit_for("acme"));
  pool.advance(500ms);
  CHECK(pool.server.under_way == 1);
  pool.advance(3s);
  CHECK(first->has_come());
  CHECK(second->has_come());
}
