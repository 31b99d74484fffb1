// When a backend may be tried for again, and how many there may be.
#include "actors/connect_gate.hpp"
#include "tests/support/catch.hpp"

#include <set>

using namespace colloquy;
using namespace colloquy::actors;
using namespace std::chrono_literals;
using db::connect_trouble;

namespace {

constexpr reconnect_options exactly{100ms, 5000ms, 0};
const connect_gate::time_point begin{1000h};

} // namespace

TEST_CASE("the first try may be made at once") {
  connect_gate gate(exactly, 1);
  CHECK(gate.may_connect(begin));
  CHECK_FALSE(gate.is_failing());
  CHECK(gate.ceiling(begin) == connect_gate::unlimited);
}

TEST_CASE("the delay doubles with each failure in a row, up to the cap, and stays there") {
  connect_gate gate(exactly, 1);
  auto now = begin;
  for (const auto wanted : {100ms, 200ms, 400ms, 800ms, 1600ms, 3200ms, 5000ms, 5000ms}) {
    const auto delay = gate.failed(connect_trouble::network, 0, now);
    CHECK(delay == wanted);
    CHECK_FALSE(gate.may_connect(now));
    CHECK_FALSE(gate.may_connect(now + delay - 1ms));
    CHECK(gate.may_connect(now + delay));
    now += delay;
  }
  for (int i = 0; i < 100'000; ++i) // it never gives up, and nothing overflows
    REQUIRE(gate.failed(connect_trouble::network, 0, now) == 5000ms);
  CHECK(gate.may_connect(now + 5s));
}

TEST_CASE("the jitter goes either way, within its percentage, and differs from try to try") {
  connect_gate gate({1000ms, 1000ms, 25}, 7);
  std::set<std::chrono::milliseconds> delays;
  for (int i = 0; i < 1000; ++i) {
    const auto delay = gate.failed(connect_trouble::network, 0, begin);
    REQUIRE(delay >= 750ms);
    REQUIRE(delay <= 1250ms);
    delays.insert(delay);
  }
  CHECK(delays.size() > 300);
  CHECK(*delays.begin() < 800ms);
  CHECK(*delays.rbegin() > 1200ms);
}

TEST_CASE("two gates with different seeds do not knock together") {
  connect_gate one({1000ms, 1000ms, 25}, 1), other({1000ms, 1000ms, 25}, 2);
  int same = 0;
  for (int i = 0; i < 100; ++i)
    same += one.failed(connect_trouble::network, 0, begin) == other.failed(connect_trouble::network, 0, begin) ? 1 : 0;
  CHECK(same < 10);
}

TEST_CASE("wrong credentials and a wrong pooling mode have slow steps of their own, whatever the settings say") {
  for (const auto trouble : {connect_trouble::credentials, connect_trouble::transaction_mode}) {
    connect_gate gate(exactly, 1);
    for (const auto wanted : {15s, 30s, 60s, 120s, 120s})
      CHECK(gate.failed(trouble, 0, begin) == wanted);
  }
}

TEST_CASE("another kind of trouble begins with its own first delay") {
  connect_gate gate(exactly, 1);
  for (int i = 0; i < 10; ++i)
    gate.failed(connect_trouble::network, 0, begin);
  CHECK(gate.failed(connect_trouble::credentials, 0, begin) == 15s);
  CHECK(gate.failed(connect_trouble::starting_up, 0, begin) == 100ms);
}

TEST_CASE("a backend that lasted clears the way; one that was there before the failure says nothing") {
  connect_gate gate(exactly, 1);
  gate.failed(connect_trouble::network, 1, begin);
  gate.failed(connect_trouble::network, 1, begin + 1s);
  gate.lasted(begin);
  CHECK(gate.is_failing());
  CHECK_FALSE(gate.may_connect(begin + 1s));
  gate.lasted(begin + 2s);
  CHECK_FALSE(gate.is_failing());
  CHECK(gate.may_connect(begin + 1s));
  CHECK(gate.failed(connect_trouble::network, 1, begin + 3s) == 100ms);
}

TEST_CASE("new credentials are tried at once") {
  connect_gate gate(exactly, 1);
  for (int i = 0; i < 4; ++i)
    gate.failed(connect_trouble::credentials, 0, begin);
  gate.forget_failures();
  CHECK(gate.may_connect(begin));
  CHECK(gate.failed(connect_trouble::credentials, 0, begin) == 15s);
}

TEST_CASE("too many connections: no more than there are, one more after each step, and two at least") {
  connect_gate gate(exactly, 1);
  CHECK(gate.failed(connect_trouble::too_many_connections, 7, begin) == 1s);
  CHECK(gate.ceiling(begin) == 7);
  CHECK(gate.ceiling(begin + 900ms) == 7);
  CHECK(gate.ceiling(begin + 1s) == 8);
  gate.failed(connect_trouble::too_many_connections, 7, begin + 1s); // still full: the step doubles
  CHECK(gate.ceiling(begin + 2900ms) == 7);
  CHECK(gate.ceiling(begin + 3s) == 8);
  gate.connected(begin + 3s); // there was a place: it halves
  CHECK(gate.ceiling(begin + 4s) == 9);
  gate.failed(connect_trouble::too_many_connections, 0, begin + 200s);
  CHECK(gate.ceiling(begin + 200s) == 2); // a writer holds one, and units need another
  auto last = 0ms;
  for (int i = 0; i < 10; ++i)
    last = gate.failed(connect_trouble::too_many_connections, 3, begin);
  CHECK(last == 30s);
}

TEST_CASE("the ceiling is no obstacle after a long time, however long") {
  connect_gate gate(exactly, 1);
  gate.failed(connect_trouble::too_many_connections, 2, begin);
  CHECK(gate.ceiling(begin + 1h) == 3602);
  CHECK(gate.ceiling(begin + 10'000h) == connect_gate::unlimited);
}
