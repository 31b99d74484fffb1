#include "actors/tail_cache.hpp"

#include "tests/support/catch.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <iostream>
#include <map>
#include <random>
#include <string>
#include <thread>

using namespace colloquy;
using namespace colloquy::actors;

namespace {

log_id log_number(std::uint8_t number) {
  log_id log;
  for (auto& byte : log.bytes)
    byte = static_cast<std::uint8_t>(number * 37 + 11);
  log.bytes[0] = number;
  return log;
}

db::event_block block(event_offset first, std::size_t count, std::size_t bytes_each = 10) {
  std::vector<event> events(count);
  for (std::size_t i = 0; i < count; ++i) {
    events[i].offset = first + static_cast<event_offset>(i);
    events[i].data.assign(bytes_each, 'x');
  }
  return std::make_shared<const std::vector<event>>(std::move(events));
}

std::size_t size_of_logs(std::size_t logs, const std::vector<db::event_block>& blocks) {
  std::size_t bytes = logs * tail_cache::log_overhead_bytes();
  for (const auto& each : blocks)
    bytes += tail_cache::cost_of(*each);
  return bytes;
}

using blocks = std::vector<db::event_block>;

} // namespace

TEST_CASE("reading gives the very blocks from an offset to the end") {
  tail_cache cache({});
  const auto log = log_number(1);
  const auto a = block(5, 3);
  const auto b = block(8, 1);
  const auto c = block(9, 2);
  for (const auto& each : {a, b, c})
    cache.append(log, each);
  auto all = cache.read(log, 5);
  REQUIRE(all.has_value());
  CHECK(all->first == 5);
  CHECK(all->next == 11);
  CHECK(all->covers(5));
  CHECK(all->blocks == blocks{a, b, c});
  CHECK(cache.read(log, 7)->blocks == blocks{a, b, c});
  CHECK(cache.read(log, 8)->blocks == blocks{b, c});
  CHECK(cache.read(log, 9)->blocks == blocks{c});
  CHECK(cache.read(log, 10)->blocks == blocks{c});
  CHECK(cache.read(log, 11)->blocks.empty());
  CHECK(cache.read(log, 11)->covers(11));
  CHECK(cache.figures().hits == 7);
  CHECK(cache.figures().misses == 0);
  CHECK(cache.figures().used_bytes == size_of_logs(1, {a, b, c}));
}

TEST_CASE("a tail that begins later tells from where") {
  tail_cache cache({});
  const auto log = log_number(1);
  const auto a = block(5, 3);
  CHECK_FALSE(cache.read(log, 0).has_value());
  cache.append(log, a);
  auto tail = cache.read(log, 2);
  REQUIRE(tail.has_value());
  CHECK_FALSE(tail->covers(2));
  CHECK(tail->first == 5);
  CHECK(tail->blocks == blocks{a});
  CHECK(cache.figures().hits == 0);
  CHECK(cache.figures().misses == 2);
}

TEST_CASE("what does not continue a tail replaces it") {
  for (const event_offset first : {0, 5, 7, 9, 100}) {
    tail_cache cache({});
    const auto log = log_number(1);
    const auto other = block(first, 2);
    cache.append(log, block(5, 3));
    cache.append(log, other);
    CHECK(cache.read(log, first)->blocks == blocks{other});
    CHECK(cache.read(log, first)->first == first);
    CHECK(cache.figures().logs == 1);
    CHECK(cache.figures().used_bytes == size_of_logs(1, {other}));
    CHECK(cache.figures().evictions == 0);
  }
}

TEST_CASE("what is no block changes nothing") {
  tail_cache cache({});
  const auto log = log_number(1);
  cache.append(log, nullptr);
  cache.append(log, block(0, 0));
  CHECK(cache.figures().logs == 0);
  CHECK(cache.figures().used_bytes == 0);
}

TEST_CASE("a forgotten log holds nothing") {
  tail_cache cache({});
  cache.append(log_number(1), block(0, 1));
  cache.append(log_number(2), block(0, 1));
  cache.forget(log_number(1));
  cache.forget(log_number(3));
  CHECK_FALSE(cache.read(log_number(1), 0).has_value());
  CHECK(cache.read(log_number(2), 0).has_value());
  cache.forget(log_number(2));
  CHECK(cache.figures().logs == 0);
  CHECK(cache.figures().used_bytes == 0);
  CHECK(cache.figures().evictions == 0);
}

TEST_CASE("of each log only the newest blocks are kept that stay within its bounds") {
  const auto log = log_number(1);
  SECTION("events") {
    tail_cache cache({.log_events_max = 5});
    for (event_offset i = 0; i < 4; ++i)
      cache.append(log, block(i * 2, 2));
    CHECK(cache.read(log, 0)->first == 4);
    CHECK(cache.read(log, 0)->blocks.size() == 2);
    cache.append(log, block(8, 1));
    CHECK(cache.read(log, 0)->first == 4);
  }
  SECTION("bytes") {
    tail_cache cache({.log_bytes_max = size_of_logs(1, {block(0, 1), block(0, 1)})});
    for (event_offset i = 0; i < 4; ++i)
      cache.append(log, block(i, 1));
    CHECK(cache.read(log, 0)->first == 2);
    cache.append(log, block(4, 1, 100));
    CHECK(cache.read(log, 0)->first == 4);
  }
  SECTION("a block that is too large by itself") {
    tail_cache cache({.log_events_max = 5});
    cache.append(log, block(0, 1));
    cache.append(log, block(1, 6));
    CHECK_FALSE(cache.read(log, 0).has_value());
    CHECK(cache.figures().used_bytes == 0);
    CHECK(cache.figures().logs == 0);
    cache.append(log, block(7, 1));
    CHECK(cache.read(log, 0)->first == 7);
  }
}

TEST_CASE("the tail that has not been used the longest goes first, whole") {
  const auto one = size_of_logs(1, {block(0, 1), block(1, 1)});
  tail_cache cache({.bytes_max = 3 * one});
  for (std::uint8_t i = 0; i < 3; ++i)
    for (event_offset k = 0; k < 2; ++k)
      cache.append(log_number(i), block(k, 1));
  CHECK(cache.figures().evictions == 0);
  CHECK(cache.read(log_number(0), 0).has_value());
  cache.append(log_number(1), block(2, 1));
  CHECK(cache.figures().evictions == 1);
  CHECK_FALSE(cache.read(log_number(2), 0).has_value());
  CHECK(cache.read(log_number(0), 0)->blocks.size() == 2);
  CHECK(cache.read(log_number(1), 0)->blocks.size() == 3);
}

TEST_CASE("a cache without room keeps nothing") {
  tail_cache cache({.bytes_max = 0});
  cache.append(log_number(1), block(0, 1));
  CHECK(cache.figures().logs == 0);
  CHECK(cache.figures().used_bytes == 0);
}

TEST_CASE("a block counts for at least what its events hold") {
  const auto empty = tail_cache::cost_of(*block(0, 1, 0));
  CHECK(empty >= sizeof(event));
  CHECK(tail_cache::cost_of(*block(0, 1, 100'000)) >= empty + 100'000);
  std::vector<event> events(1);
  events[0].tool_call_ids.assign(1000, std::string(100, 'x'));
  CHECK(tail_cache::cost_of(events) >= empty + 1000 * (sizeof(std::string) + 100));
  for (auto field : {&event::tool_call_id, &event::source, &event::trace_id, &event::author}) {
    std::vector<event> other(1);
    other[0].*field = std::string(5000, 'x');
    CHECK(tail_cache::cost_of(other) >= empty + 5000);
  }
}

namespace {

/// The same, without stripes, lists and shortcuts.
class model {
public:
  explicit model(const tail_limits& limits)
    : limits_(limits) {}

  void append(std::uint8_t log, const db::event_block& added) {
    auto& held = logs_[log];
    if (!held.empty() && held.back()->back().offset + 1 != added->front().offset)
      held.clear();
    held.push_back(added);
    touch(log);
    while (!held.empty() && (bytes_of(log) > std::min(limits_.log_bytes_max, limits_.bytes_max) ||
                             events_of(log) > limits_.log_events_max))
      held.erase(held.begin());
    if (held.empty())
      forget(log);
    while (bytes() > limits_.bytes_max) {
      forget(order_.front());
      ++evictions;
    }
  }
  void forget(std::uint8_t log) {
    logs_.erase(log);
    std::erase(order_, log);
  }
  void touch(std::uint8_t log) {
    std::erase(order_, log);
    order_.push_back(log);
  }
  const blocks* find(std::uint8_t log) const {
    auto found = logs_.find(log);
    return found == logs_.end() ? nullptr : &found->second;
  }
  std::size_t bytes() const {
    std::size_t sum = 0;
    for (const auto& [log, held] : logs_)
      sum += bytes_of(log);
    return sum;
  }
  std::size_t logs() const { return logs_.size(); }

  std::uint64_t evictions = 0;

private:
  std::size_t bytes_of(std::uint8_t log) const { return size_of_logs(1, logs_.at(log)); }
  std::size_t events_of(std::uint8_t log) const {
    std::size_t sum = 0;
    for (const auto& each : logs_.at(log))
      sum += each->size();
    return sum;
  }

  tail_limits limits_;
  std::map<std::uint8_t, blocks> logs_;
  std::vector<std::uint8_t> order_; // least recently used first
};

class cache_life {
public:
  explicit cache_life(unsigned seed)
    : random_(seed) {}

  void step() {
    const auto log = static_cast<std::uint8_t>(below(12));
    const auto kind = below(20);
    if (kind < 12)
      append(log);
    else if (kind < 19)
      read(log);
    else
      forget(log);
    const auto figures = cache_.figures();
    REQUIRE(figures.used_bytes == model_.bytes());
    REQUIRE(figures.used_bytes <= limits_.bytes_max);
    REQUIRE(figures.logs == model_.logs());
    REQUIRE(figures.evictions == model_.evictions);
    REQUIRE(figures.hits == hits_);
    REQUIRE(figures.misses == misses_);
  }
  std::uint64_t evictions() const { return model_.evictions; }

private:
  std::size_t below(std::size_t bound) { return std::uniform_int_distribution<std::size_t>(0, bound - 1)(random_); }

  void append(std::uint8_t log) {
    auto first = next_[log];
    if (below(15) == 0)
      first = static_cast<event_offset>(below(40));
    const auto added = block(first, 1 + below(5), below(3) ? below(100) : below(3000));
    next_[log] = added->back().offset + 1;
    cache_.append(log_number(log), added);
    model_.append(log, added);
  }

  void read(std::uint8_t log) {
    const auto from = next_[log] - static_cast<event_offset>(below(20));
    const auto tail = cache_.read(log_number(log), from);
    const auto* held = model_.find(log);
    REQUIRE(tail.has_value() == (held != nullptr));
    if (!held) {
      ++misses_;
      return;
    }
    model_.touch(log);
    REQUIRE(tail->first == held->front()->front().offset);
    REQUIRE(tail->next == held->back()->back().offset + 1);
    blocks wanted;
    for (const auto& each : *held)
      if (each->back().offset >= from)
        wanted.push_back(each);
    REQUIRE(tail->blocks == wanted);
    ++(tail->first <= from ? hits_ : misses_);
  }

  void forget(std::uint8_t log) {
    cache_.forget(log_number(log));
    model_.forget(log);
  }

  std::mt19937 random_;
  tail_limits limits_{2000 + below(60'000), 1000 + below(20'000), 1 + below(30)};
  tail_cache cache_{limits_};
  model model_{limits_};
  std::map<std::uint8_t, event_offset> next_;
  std::uint64_t hits_ = 0;
  std::uint64_t misses_ = 0;
};

} // namespace

TEST_CASE("random uses leave in the cache what a simple model of it has") {
  const char* given = std::getenv("COLLOQUY_TEST_SEED");
  const char* many = std::getenv("COLLOQUY_TEST_HISTORIES");
  const auto first = given ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : std::random_device{}();
  const auto histories = many ? static_cast<unsigned>(std::strtoul(many, nullptr, 10)) : given ? 1u : 200u;
  std::cout << "lives of tails: " << histories << " from seed " << first << "\n";
  std::uint64_t evictions = 0;
  for (unsigned i = 0; i < histories; ++i) {
    INFO("COLLOQUY_TEST_SEED=" << first + i);
    cache_life life(first + i);
    for (int k = 0; k < 200; ++k)
      life.step();
    evictions += life.evictions();
  }
  if (histories >= 100)
    CHECK(evictions > histories);
}

TEST_CASE("two threads append, read and forget at once, and every tail stays whole") {
  tail_cache cache({.bytes_max = 40'000, .log_bytes_max = 10'000, .log_events_max = 20});
  std::atomic<std::size_t> torn{0};
  std::atomic<std::size_t> seen{0};
  // Each thread has its own logs to write, as sessions have, and reads all.
  auto work = [&](std::uint8_t mine) {
    std::mt19937 random(mine);
    std::vector<event_offset> next(8, 0);
    for (int i = 0; i < 5000; ++i) {
      const auto which = static_cast<std::uint8_t>(random() % 8);
      const auto count = 1 + random() % 3;
      cache.append(log_number(static_cast<std::uint8_t>(which * 2 + mine)), block(next[which], count, random() % 500));
      next[which] += static_cast<event_offset>(count);
      if (random() % 50 == 0)
        cache.forget(log_number(static_cast<std::uint8_t>(random() % 16)));
      const auto tail = cache.read(log_number(static_cast<std::uint8_t>(random() % 16)), 0);
      if (!tail)
        continue;
      auto expected = tail->first;
      for (const auto& each : tail->blocks)
        for (const auto& entry : *each)
          torn += entry.offset != expected++;
      torn += expected != tail->next;
      ++seen;
    }
  };
  std::thread other(work, std::uint8_t{1});
  work(0);
  other.join();
  CHECK(torn == 0);
  CHECK(seen > 1000);
  CHECK(cache.figures().evictions > 100);
  CHECK(cache.figures().used_bytes <= 40'000);
  for (std::uint8_t i = 0; i < 16; ++i)
    cache.forget(log_number(i));
  CHECK(cache.figures().used_bytes == 0);
  CHECK(cache.figures().logs == 0);
}
