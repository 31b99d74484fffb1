// Who is served next among many who wait.
#include "actors/fair_queue.hpp"
#include "tests/support/catch.hpp"

#include <cstdlib>
#include <iostream>
#include <map>
#include <random>

using namespace colloquy::actors;

namespace {

using queue = fair_queue<std::string, int>;
constexpr auto anyone = [](const std::string&) { return true; };
constexpr int never = 1 << 30;

queue::ticket add(queue& to, const std::string& tenant, std::string item, int deadline = never,
                  std::uint64_t owner = 1) {
  return to.push(tenant, owner, deadline, item);
}

} // namespace

TEST_CASE("within a tenant the first to come is the first served") {
  queue waiting(100, 100);
  for (const auto* item : {"a", "b", "c"})
    REQUIRE(add(waiting, "acme", item) != 0);
  CHECK(waiting.pop(anyone) == "a");
  CHECK(waiting.pop(anyone) == "b");
  CHECK(waiting.pop(anyone) == "c");
  CHECK_FALSE(waiting.pop(anyone));
}

TEST_CASE("a newcomer waits for at most one item of each tenant that a storm has queued") {
  queue waiting(100'000, 10'000);
  for (int i = 0; i < 10'000; ++i)
    add(waiting, "storm", "s");
  for (int i = 0; i < 10; ++i)
    add(waiting, "other" + std::to_string(i), "o");
  for (int i = 0; i < 3; ++i)
    waiting.pop(anyone);
  add(waiting, "new", "n");
  int before = 0;
  while (waiting.pop(anyone) != "n")
    ++before;
  CHECK(before <= 11);
}

TEST_CASE("one that comes again and again gets its share and no more") {
  queue waiting(100'000, 10'000);
  for (int i = 0; i < 1000; ++i)
    add(waiting, "storm", "s");
  std::map<std::string, int> served;
  add(waiting, "steady", "t");
  for (int i = 0; i < 200; ++i) {
    const auto item = *waiting.pop(anyone);
    ++served[item];
    if (item == "t")
      add(waiting, "steady", "t"); // at once, as one that waits for each answer does
  }
  CHECK(served["t"] >= 99);
  CHECK(served["t"] <= 101);
}

TEST_CASE("shares follow the weights") {
  queue waiting(10'000, 10'000);
  waiting.set_weight("gold", 3);
  for (int i = 0; i < 1000; ++i) {
    add(waiting, "gold", "g");
    add(waiting, "plain", "p");
  }
  std::map<std::string, int> served;
  for (int i = 0; i < 400; ++i)
    ++served[*waiting.pop(anyone)];
  CHECK(served["g"] >= 298);
  CHECK(served["g"] <= 302);
}

TEST_CASE("a tenant at its limit is passed over, and keeps its place") {
  queue waiting(100, 100);
  add(waiting, "full", "f");
  add(waiting, "free", "x");
  CHECK(waiting.pop([](const std::string& tenant) { return tenant != "full"; }) == "x");
  CHECK_FALSE(waiting.pop([](const std::string& tenant) { return tenant != "full"; }));
  CHECK(waiting.pop(anyone) == "f");
}

TEST_CASE("the queue and each tenant's part of it are bounded, and a refusal leaves the item alone") {
  queue waiting(3, 2);
  CHECK(add(waiting, "a", "1") != 0);
  CHECK(add(waiting, "a", "2") != 0);
  std::string item = "3";
  CHECK(waiting.push("a", 1, never, item) == 0);
  CHECK(item == "3");
  CHECK(add(waiting, "b", "4") != 0);
  CHECK(add(waiting, "c", "5") == 0);
  CHECK(waiting.size() == 3);
  waiting.pop(anyone);
  CHECK(add(waiting, "c", "5") != 0);
}

TEST_CASE("who is past the deadline, has given up, or is dead leaves no trace") {
  queue waiting(100, 100);
  add(waiting, "a", "late", 10);
  const auto given_up = add(waiting, "a", "given up");
  add(waiting, "b", "dead", never, 7);
  add(waiting, "a", "dead too", never, 7);
  add(waiting, "a", "last");
  CHECK(waiting.take_expired(9).empty());
  CHECK(waiting.take_expired(10) == std::vector<std::string>{"late"});
  CHECK(waiting.erase(given_up) == "given up");
  CHECK_FALSE(waiting.erase(given_up));
  CHECK(waiting.erase_owner(7) == 2);
  CHECK(waiting.size() == 1);
  CHECK(waiting.tenants() == 1);
  CHECK(waiting.pop(anyone) == "last");
  CHECK(waiting.take_expired(never).empty());
}

TEST_CASE("against a plain model: nothing is lost, nothing comes twice, order holds within each tenant") {
  const char* given = std::getenv("COLLOQUY_TEST_SEED");
  const auto seed = given ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : std::random_device{}();
  INFO("COLLOQUY_TEST_SEED=" << seed);
  std::mt19937 random(seed);
  fair_queue<int, int> waiting(200, 50);
  std::map<std::string, std::vector<int>> model;
  std::map<int, std::pair<std::string, fair_queue<int, int>::ticket>> where;
  int next = 0, now = 0;
  const auto leave = [&](int item) {
    auto& line = model[where.at(item).first];
    line.erase(std::find(line.begin(), line.end(), item));
    where.erase(item);
  };
  for (int step = 0; step < 20'000; ++step) {
    const auto tenant = "t" + std::to_string(random() % 8);
    switch (random() % 4) {
    case 0:
    case 1: {
      int item = next++;
      const bool fits = where.size() < 200 && model[tenant].size() < 50;
      const auto ticket = waiting.push(tenant, random() % 5, now + static_cast<int>(random() % 500), item);
      REQUIRE((ticket != 0) == fits);
      if (ticket != 0) {
        model[tenant].push_back(item);
        where.emplace(item, std::make_pair(tenant, ticket));
      }
      break;
    }
    case 2:
      if (auto item = waiting.pop([&](const std::string& each) { return each != tenant; })) {
        REQUIRE(where.at(*item).first != tenant);
        REQUIRE(model[where.at(*item).first].front() == *item);
        leave(*item);
      }
      break;
    default:
      now += 3;
      for (const int item : waiting.take_expired(now))
        leave(item);
      if (!where.empty() && random() % 3 == 0) {
        const auto any = where.begin()->first;
        REQUIRE(waiting.erase(where.at(any).second) == any);
        leave(any);
      }
    }
    REQUIRE(waiting.size() == where.size());
  }
  while (auto item = waiting.pop([](const std::string&) { return true; }))
    leave(*item);
  CHECK(where.empty());
}
