#include "messages/ids.hpp"

#include "tests/support/catch.hpp"

#include <chrono>
#include <set>
#include <thread>
#include <unordered_set>
#include <vector>

using namespace colloquy;

TEST_CASE("an id is a UUIDv7 of now") {
  using namespace std::chrono;
  const auto before = duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
  const auto id = session_id::make();
  std::int64_t stamp = 0;
  for (std::size_t i = 0; i < 6; ++i)
    stamp = (stamp << 8) | id.bytes[i];
  // The ids of one thread rise, so a burst of them may be some milliseconds ahead of the clock.
  CHECK(stamp >= before);
  CHECK(stamp <= before + 10'000);
  CHECK(id.bytes[6] >> 4 == 7);
  CHECK(id.bytes[8] >> 6 == 2);
  CHECK_FALSE(id.is_nil());
}

TEST_CASE("the ids of one thread rise strictly, as bytes and as text") {
  auto last = session_id::make();
  for (int i = 0; i < 20'000; ++i) {
    auto next = session_id::make();
    REQUIRE(last < next);
    REQUIRE(last.to_string() < next.to_string());
    last = next;
  }
}

TEST_CASE("ids of many threads differ") {
  constexpr std::size_t threads = 4;
  constexpr std::size_t each = 5'000;
  std::vector<std::vector<session_id>> made(threads);
  {
    std::vector<std::jthread> running;
    running.reserve(threads);
    for (auto& ids : made)
      running.emplace_back([&ids] {
        for (std::size_t i = 0; i < each; ++i)
          ids.push_back(session_id::make());
      });
  }
  std::unordered_set<session_id> all;
  for (const auto& ids : made)
    all.insert(ids.begin(), ids.end());
  CHECK(all.size() == threads * each);
}

TEST_CASE("an id's text reads back, in either case") {
  const auto id = turn_id::make();
  CHECK(turn_id::parse(id.to_string()) == id);
  CHECK(id.to_string().size() == 36);
  auto known = turn_id::parse("0190ABCD-ef01-7234-8abc-0123456789AB");
  REQUIRE(known.has_value());
  CHECK(known->to_string() == "0190abcd-ef01-7234-8abc-0123456789ab");
}

TEST_CASE("what is not canonical is no id") {
  for (const char* text : {"", "0190abcd", "0190abcdef0172348abc0123456789ab", "{0190abcd-ef01-7234-8abc-0123456789ab}",
                           "0190abcd-ef01-7234-8abc-0123456789a", "0190abcd-ef01-7234-8abc-0123456789abc",
                           "0190abcd-ef01-7234-8abc-0123456789ag", "0190abcd-ef01-7234-8abc_0123456789ab",
                           "0190abc-def01-7234-8abc-0123456789ab", " 190abcd-ef01-7234-8abc-0123456789ab",
                           "0190abcd-ef01-7234-8abc-0123456789\xC3\xA9"})
    CHECK_FALSE(session_id::parse(text).has_value());
}

TEST_CASE("a default id is nil") {
  CHECK(turn_id{}.is_nil());
  CHECK(turn_id{}.to_string() == "00000000-0000-0000-0000-000000000000");
}

TEST_CASE("a tenant's name has a narrow alphabet") {
  for (const std::string& name :
       {std::string("default"), std::string("a"), std::string("0"), std::string("acme-2_eu"), std::string(63, 'a')}) {
    auto tenant = tenant_id::parse(name);
    REQUIRE(tenant.has_value());
    CHECK(tenant->text() == name);
  }
  for (const std::string& name : {std::string(), std::string(64, 'a'), std::string("Acme"), std::string("-a"),
                                  std::string("_a"), std::string("a b"), std::string("a.b"), std::string("a'b"),
                                  std::string("\xC3\xA9"), std::string("a\0b", 3), std::string("a\n")})
    CHECK_FALSE(tenant_id::parse(name).has_value());
}
