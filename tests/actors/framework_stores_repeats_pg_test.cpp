// Making customers and context variables under an idempotency key.
#include "tests/actors/framework_stores_fixture.hpp"

using namespace colloquy;
using namespace colloquy::test;

namespace {

/// Each request comes a second after the one before, so that an answer given again is told from a new one.
class ticking_stores : public stores {
public:
  using stores::stores;

  template <class Request>
  result<typename Request::reply> ask(Request request) {
    now = now.load() + std::chrono::seconds{1};
    return stores::ask(std::move(request));
  }
};

create_customer ada(std::vector<std::string> tags, const std::string& key = "k", const std::string& fingerprint = "f") {
  create_customer wanted;
  wanted.tenant = acme;
  wanted.name = "Ada";
  wanted.extra = R"({"b": 1,"a":2.50})";
  wanted.tags = std::move(tags);
  wanted.repeat = idempotency{key, fingerprint};
  return wanted;
}

} // namespace

TEST_CASE("a customer that is made twice under one key is made once, and the first answer given again") {
  const auto database = test_database::make();
  ticking_stores all(database);
  int made = 0;
  for (const std::vector<std::string>& tags : {std::vector<std::string>{}, {"vip", "new"}}) {
    const auto key = "k" + std::to_string(tags.size());
    const auto first = all.ask(ada(tags, key));
    REQUIRE(first);
    ++made;
    CHECK(first->tags == tags);
    update_customer change{acme, first->id};
    change.name = "Another";
    REQUIRE(all.ask(change));
    const auto again = all.ask(ada(tags, key));
    REQUIRE(again);
    CHECK(again->id == first->id);
    CHECK(again->creation_utc == first->creation_utc);
    CHECK(again->name == "Ada");
    CHECK(again->extra == first->extra);
    CHECK(again->tags == tags);
    CHECK(count(database, "customers") == std::to_string(made));
    CHECK(count(database, "customer_tag_associations") == std::to_string(tags.size()));
    const auto other = all.ask(ada(tags, key, "another request"));
    REQUIRE(!other);
    CHECK(other.failure().code == error_code::idempotency_mismatch);
    ticking_stores others(database); // another process
    CHECK(others.ask(ada(tags, key))->id == first->id);
  }
  CHECK(all.ask(ada({}, "other"))->name == "Ada");
  CHECK(count(database, "customers") == "3");
}

TEST_CASE("a creation that was refused leaves no key, and keys of customers and variables are not each other's") {
  const auto database = test_database::make();
  ticking_stores all(database);
  auto named = ada({"vip"});
  named.id = "ada";
  REQUIRE(all.ask(named));
  named.repeat->key = "second";
  const auto refused = all.ask(named);
  REQUIRE(!refused);
  CHECK(refused.failure().code == error_code::conflict);
  CHECK(refused.failure().message == "there is a customer with the id 'ada' already");
  CHECK(count(database, "customer_tag_associations") == "1");
  CHECK(database.value("SELECT count(*) FROM idempotency_keys") == "1");
  named.id = "eve";
  CHECK(all.ask(named)->id == "eve");

  create_context_variable variable;
  variable.tenant = acme;
  variable.name = "plan";
  variable.tags = {"t"};
  variable.repeat = idempotency{"k", "f"};
  const auto made = all.ask(variable);
  REQUIRE(made);
  CHECK(all.ask(variable)->id == made->id);
  CHECK(count(database, "context_variables") == "1");
  variable.tenant = tenant_id::parse("rival").value();
  CHECK(all.ask(variable)->id != made->id);
}

TEST_CASE("of several at once under one key one makes it, and all get the same") {
  const auto database = test_database::make();
  ticking_stores first(database), second(database);
  std::vector<std::string> ids(8);
  std::vector<std::function<void()>> jobs;
  for (std::size_t i = 0; i < ids.size(); ++i)
    jobs.emplace_back([&, i] {
      const auto made = (i % 2 ? first : second).ask(ada({"vip"}));
      ids[i] = made ? made->id : made.failure().message;
    });
  at_once(jobs);
  for (const auto& each : ids)
    CHECK(each == ids.front());
  CHECK(count(database, "customers") == "1");
}
