// Which statements count as prepared, under which names, and which go first.
#include "db/statement_cache.hpp"
#include "tests/support/catch.hpp"

#include <cstdlib>
#include <list>
#include <map>
#include <random>
#include <set>

using namespace colloquy::db;

namespace {

constexpr statement first{"first", "SELECT 1", {}};
constexpr statement second{"second", "SELECT 2", {}};
constexpr statement third{"third", "SELECT 3", {}};

statement_call ours(const statement& what) {
  return {&what, {}};
}

statement_call callers(std::string sql, std::vector<oid> types = {}) {
  caller_statement own;
  own.sql = std::move(sql);
  own.parameter_types = std::move(types);
  return {nullptr, {}, std::make_shared<const caller_statement>(std::move(own))};
}

} // namespace

TEST_CASE("a statement is prepared the first time and found again under the same name") {
  statement_cache cache(10);
  const auto made = cache.take(ours(first));
  CHECK(made.must_prepare);
  CHECK(made.id != 0);
  const auto name = *made.name;
  CHECK(name.starts_with("first"));
  const auto found = cache.take(ours(first));
  CHECK_FALSE(found.must_prepare);
  CHECK(found.id == made.id);
  CHECK(*found.name == name);
  CHECK(cache.size() == 1);
}

TEST_CASE("a caller's statement is found by its text and its parameters' types") {
  statement_cache cache(10);
  const auto made = cache.take(callers("SELECT $1", {oids::text}));
  const auto name = *made.name;
  CHECK_FALSE(cache.take(callers("SELECT $1", {oids::text})).must_prepare);
  CHECK(cache.take(callers("SELECT $1", {oids::int8})).must_prepare);
  CHECK(cache.take(callers("SELECT $1")).must_prepare);
  CHECK(cache.take(callers("SELECT  $1", {oids::text})).must_prepare);
  CHECK(*cache.take(callers("SELECT $1", {oids::text})).name == name);
  CHECK(cache.size() == 4);
}

TEST_CASE("text that looks like types in front of other text is another statement") {
  statement_cache cache(10);
  cache.take(callers(":SELECT 1"));
  CHECK(cache.take(callers("SELECT 1")).must_prepare);
  CHECK(cache.take(callers("25,:SELECT $1")).must_prepare);
  CHECK(cache.take(callers("SELECT $1", {25})).must_prepare);
  CHECK(cache.take(ours(first)).must_prepare);
  CHECK(cache.take(callers("first")).must_prepare);
}

TEST_CASE("past the bound the one not used for longest goes, and its name is told once") {
  statement_cache cache(2);
  const auto name_of_first = *cache.take(ours(first)).name;
  const auto name_of_second = *cache.take(ours(second)).name;
  cache.take(ours(first)); // used again
  CHECK(cache.take_evicted().empty());
  CHECK(cache.take(ours(third)).must_prepare);
  CHECK(cache.size() == 2);
  CHECK(cache.take_evicted() == std::vector<std::string>{name_of_second});
  CHECK(cache.take_evicted().empty());
  CHECK_FALSE(cache.take(ours(first)).must_prepare);
  const auto again = cache.take(ours(second));
  CHECK(again.must_prepare);
  CHECK(*again.name != name_of_second); // no name is used twice
}

TEST_CASE("a bound of zero still has place for the one in use") {
  statement_cache cache(0);
  CHECK(cache.take(ours(first)).must_prepare);
  CHECK_FALSE(cache.take(ours(first)).must_prepare);
  CHECK(cache.take(ours(second)).must_prepare);
  CHECK(cache.size() == 1);
  CHECK(cache.take_evicted().size() == 1);
}

TEST_CASE("one that was forgotten is prepared again under another name; forgetting it twice harms nothing") {
  statement_cache cache(10);
  const auto made = cache.take(callers("SELECT 1"));
  const auto name = *made.name;
  cache.forget(made.id);
  cache.forget(made.id);
  cache.forget(12'345);
  CHECK(cache.size() == 0);
  const auto again = cache.take(callers("SELECT 1"));
  CHECK(again.must_prepare);
  CHECK(*again.name != name);
  cache.forget(made.id); // the old one, late
  CHECK_FALSE(cache.take(callers("SELECT 1")).must_prepare);
}

TEST_CASE("after the session was discarded everything is prepared again, and nothing is deallocated") {
  statement_cache cache(2);
  std::set<std::string> names;
  for (const auto* each : {&first, &second, &third})
    names.insert(*cache.take(ours(*each)).name);
  cache.clear();
  CHECK(cache.size() == 0);
  CHECK(cache.take_evicted().empty());
  for (const auto* each : {&first, &second}) {
    const auto use = cache.take(ours(*each));
    CHECK(use.must_prepare);
    CHECK(names.insert(*use.name).second);
  }
}

TEST_CASE("against a plain model: the same are found, the same go") {
  const char* given = std::getenv("COLLOQUY_TEST_SEED");
  const auto seed = given ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : std::random_device{}();
  INFO("COLLOQUY_TEST_SEED=" << seed);
  std::mt19937 random(seed);
  constexpr std::size_t bound = 8;
  statement_cache cache(bound);
  std::list<std::pair<std::string, std::string>> model; // text and name, most recently used first
  std::map<std::string, statement_cache::entry_id> ids;
  std::set<std::string> names;
  for (int step = 0; step < 20'000; ++step) {
    const auto text = "SELECT " + std::to_string(random() % 14);
    const auto known = std::find_if(model.begin(), model.end(), [&](const auto& each) { return each.first == text; });
    if (random() % 10 == 0) {
      if (known != model.end()) {
        cache.forget(ids.at(text));
        model.erase(known);
      }
    } else if (random() % 1000 == 0) {
      cache.clear();
      model.clear();
    } else {
      const auto use = cache.take(callers(text));
      REQUIRE(use.must_prepare == (known == model.end()));
      if (known != model.end()) {
        REQUIRE(*use.name == known->second);
        model.splice(model.begin(), model, known);
      } else {
        REQUIRE(names.insert(*use.name).second);
        model.emplace_front(text, *use.name);
        ids[text] = use.id;
      }
      std::vector<std::string> gone;
      if (model.size() > bound) {
        gone.push_back(model.back().second);
        model.pop_back();
      }
      REQUIRE(cache.take_evicted() == gone);
    }
    REQUIRE(cache.size() == model.size());
  }
}
