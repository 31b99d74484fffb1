// Keys, and requests over time.
#include "gateway/secrets.hpp"
#include "gateway/tenant_book.hpp"
#include "tests/support/catch.hpp"

#include <set>
#include <string>
#include <vector>

using namespace colloquy;
using namespace colloquy::gateway;
using namespace std::chrono_literals;

TEST_CASE("a key is found by its prefix, and no two are alike") {
  std::set<std::string> texts, prefixes;
  for (int i = 0; i < 200; ++i) {
    const auto key = make_key();
    REQUIRE(key);
    CHECK(key->text.size() == 3 + 12 + 1 + 43);
    CHECK(prefix_of_key(key->text) == key->prefix);
    CHECK(key->text.starts_with("cq_" + key->prefix + "_"));
    texts.insert(key->text);
    prefixes.insert(key->prefix);
  }
  CHECK(texts.size() == 200);
  CHECK(prefixes.size() == 200);
  CHECK(make_admin_key()->starts_with("cqa_"));
  CHECK_FALSE(prefix_of_key(*make_admin_key()).has_value());
}

TEST_CASE("what does not look like a key has no prefix") {
  const auto good = make_key()->text;
  const std::vector<std::string> all{std::string(),
                                     std::string("cq_"),
                                     good.substr(1),
                                     good + "0",
                                     good.substr(0, 58),
                                     "CQ_" + good.substr(3),
                                     good.substr(0, 15) + "-" + good.substr(16),
                                     good.substr(0, 20) + "!" + good.substr(21),
                                     good.substr(0, 5) + "'" + good.substr(6),
                                     good.substr(0, 20) + std::string(1, '\0') + good.substr(21)};
  for (const auto& wrong : all)
    CHECK_FALSE(prefix_of_key(wrong).has_value());
}

TEST_CASE("digests are SHA-256") {
  CHECK(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256_hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256("abc").size() == 32);
}

TEST_CASE("texts are equal only if every byte is") {
  CHECK(is_equal_in_constant_time("", ""));
  CHECK(is_equal_in_constant_time("abc", "abc"));
  for (const auto* other : {"abd", "bbc", "ab", "abcd", ""})
    CHECK_FALSE(is_equal_in_constant_time("abc", other));
}

TEST_CASE("a bucket gives its burst at once, and then what gathers") {
  token_bucket bucket;
  token_bucket::clock::time_point now{1h};
  for (int i = 0; i < 5; ++i)
    CHECK_FALSE(bucket.take(10, 5, now).has_value());
  CHECK(bucket.left() == 0);
  const auto wait = bucket.take(10, 5, now);
  REQUIRE(wait);
  CHECK(*wait > 99ms);
  CHECK(*wait <= 101ms);
  CHECK(bucket.take(10, 5, now + 90ms).has_value());
  CHECK_FALSE(bucket.take(10, 5, now + 101ms).has_value());
  CHECK(bucket.take(10, 5, now + 102ms).has_value()); // who was refused took nothing, who was not took one
}

TEST_CASE("a bucket holds no more than its burst, however long nobody came") {
  token_bucket bucket;
  token_bucket::clock::time_point now{1h};
  CHECK_FALSE(bucket.take(100, 3, now).has_value());
  now += 24h;
  for (int i = 0; i < 3; ++i)
    CHECK_FALSE(bucket.take(100, 3, now).has_value());
  CHECK(bucket.take(100, 3, now).has_value());
}

TEST_CASE("over an hour a bucket lets through its rate, and a rate that is lowered holds from then on") {
  token_bucket bucket;
  token_bucket::clock::time_point now{1h};
  const auto taken_in_a_minute = [&](std::int64_t rate) {
    int taken = 0;
    for (int i = 0; i < 6000; ++i, now += 10ms)
      taken += bucket.take(rate, rate, now) ? 0 : 1;
    return taken;
  };
  CHECK(taken_in_a_minute(20) <= 20 * 61);
  CHECK(taken_in_a_minute(20) >= 20 * 60 - 1);
  const auto lower = taken_in_a_minute(2);
  CHECK(lower <= 2 * 61);
  CHECK(lower >= 2 * 60 - 1);
}
