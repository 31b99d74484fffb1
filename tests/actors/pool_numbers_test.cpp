// What the pool counts.
#include "actors/pool_numbers.hpp"
#include "tests/support/catch.hpp"

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <random>

using namespace colloquy::actors;
using namespace std::chrono_literals;

TEST_CASE("an empty histogram is all zero") {
  duration_histogram empty;
  CHECK(empty.count() == 0);
  CHECK(empty.sum() == 0us);
  CHECK(empty.max() == 0us);
  CHECK(empty.quantile(0.5) == 0us);
}

TEST_CASE("a duration falls into the bucket whose upper bound is the first that is not below it") {
  duration_histogram found;
  for (const auto value : {0us, 1us, 64us, 65us, 128us, 129us})
    found.add(value);
  CHECK(found.buckets()[0] == 3);
  CHECK(found.buckets()[1] == 2);
  CHECK(found.buckets()[2] == 1);
  found.add(10h); // longer than any bound
  CHECK(found.buckets()[duration_histogram::bucket_count - 1] == 1);
  CHECK(found.count() == 7);
  CHECK(found.max() == 10h);
  CHECK(found.sum() == 10h + 387us);
}

TEST_CASE("the last bound is about 67 s") {
  duration_histogram found;
  found.add(67s);
  CHECK(found.buckets()[duration_histogram::bucket_count - 2] == 1);
  found.add(68s);
  CHECK(found.buckets()[duration_histogram::bucket_count - 1] == 1);
}

TEST_CASE("a quantile is its bucket's bound, and never more than the longest there was") {
  duration_histogram found;
  for (int i = 0; i < 99; ++i)
    found.add(50us);
  found.add(1s);
  CHECK(found.quantile(0.5) == 64us);
  CHECK(found.quantile(0.99) == 64us);
  CHECK(found.quantile(1) == 1s); // not 1.048576 s
  CHECK(found.quantile(0) == 64us);
  CHECK(found.quantile(-1) == 64us);
  CHECK(found.quantile(7) == 1s);
  duration_histogram one;
  one.add(70us);
  CHECK(one.quantile(0.5) == 70us);
  one.add(10h);
  CHECK(one.quantile(1) == 10h);
}

TEST_CASE("random durations: the quantile is never below the true one and less than twice as much") {
  const char* given = std::getenv("COLLOQUY_TEST_SEED");
  const auto seed = given ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : std::random_device{}();
  INFO("COLLOQUY_TEST_SEED=" << seed);
  std::mt19937 random(seed);
  std::lognormal_distribution<double> spread(8, 2);
  std::vector<std::chrono::microseconds> values;
  duration_histogram found;
  for (int i = 0; i < 5000; ++i) {
    values.emplace_back(std::min<std::int64_t>(60'000'000, static_cast<std::int64_t>(spread(random)) + 64));
    found.add(values.back());
  }
  std::sort(values.begin(), values.end());
  for (const double q : {0.01, 0.1, 0.5, 0.9, 0.99, 0.999}) {
    const auto true_one = values[static_cast<std::size_t>(q * 5000) - 1];
    CHECK(found.quantile(q) >= true_one);
    CHECK(found.quantile(q) <= 2 * true_one);
  }
  CHECK(std::accumulate(found.buckets().begin(), found.buckets().end(), std::uint64_t{0}) == found.count());
}

TEST_CASE("each tenant and each purpose has numbers of its own, up to a bound; the rest is one") {
  pool_numbers numbers;
  ++numbers.of_tenant("acme").units;
  ++numbers.of_tenant("acme").units;
  ++numbers.of_purpose("acme").units;
  CHECK(numbers.by_tenant.at("acme").units == 2);
  CHECK(numbers.by_purpose.at("acme").units == 1);
  for (int i = 0; i < 5000; ++i)
    ++numbers.of_tenant("tenant" + std::to_string(i)).units;
  CHECK(numbers.by_tenant.size() <= pool_numbers::names_max + 1);
  CHECK(numbers.by_tenant.at("(others)").units == 5001 - pool_numbers::names_max);
  ++numbers.of_tenant("acme").units; // who has a place keeps it
  CHECK(numbers.by_tenant.at("acme").units == 3);
}
