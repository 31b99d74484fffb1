// Customers and context variables that are many or large, and requests about them at the same moment.
#include "tests/actors/framework_stores_fixture.hpp"

using namespace colloquy;
using namespace colloquy::test;

namespace {

/// Of 17 such no page has all.
std::string large_json() {
  return "{\"a\":\"" + std::string(limits::document_bytes_max - 10'000, 'x') + "\"}";
}

} // namespace

TEST_CASE("the value that holds is found among more bytes than a page has") {
  const auto database = test_database::make();
  stores all(database);
  all.must(variable("v"));
  texts tags;
  for (int i = 0; i < 20; ++i)
    tags.push_back("t" + std::to_string(i));
  all.must(customer("c", tags));
  for (auto tag = tags.rbegin(); tag != tags.rend(); ++tag)
    all.must(value("v", "tag:" + *tag, large_json()));
  CHECK(all.must(look_up_context_value{acme, "v", "c"}).value->key == "tag:t0");
  all.must(value("v", "c", "1"));
  CHECK(looked_up(all, "v", "c", "a") == "c=1");
}

TEST_CASE("customers with a tag are all listed, whatever bytes they have") {
  const auto database = test_database::make();
  stores all(database);
  texts made;
  for (int i = 0; i < 20; ++i) {
    auto wanted = customer("c" + std::to_string(i), {"vip"});
    wanted.extra = large_json();
    all.must(wanted);
    made.push_back(*wanted.id);
  }
  list_customers wanted{acme};
  wanted.tag = "vip";
  texts seen;
  do {
    const auto page = all.must(wanted);
    for (const auto& id : ids_of(page))
      seen.push_back(id);
    wanted.cursor = page.next_cursor;
  } while (!wanted.cursor.empty());
  CHECK(seen == made);
}

TEST_CASE("a tag is given once, and not more than are allowed, whoever gives them at once") {
  const auto database = test_database::make();
  stores first(database), second(database);
  texts almost;
  for (std::size_t i = 0; i < tags_max - 1; ++i)
    almost.push_back("t" + std::to_string(i));
  first.must(customer("full", almost));
  first.must(customer("c"));
  std::vector<std::function<void()>> jobs;
  std::atomic<int> done = 0, given = 0;
  for (int i = 0; i < 8; ++i)
    jobs.emplace_back([&, i] {
      done += (i % 2 ? first : second).ask(tag_customer{acme, "c", "same"}) ? 1 : 0;
      given += (i % 2 ? first : second).ask(tag_customer{acme, "full", "new" + std::to_string(i)}) ? 1 : 0;
    });
  at_once(jobs);
  CHECK(done == 8);
  CHECK(given == 1);
  CHECK(database.value("SELECT count(*) FROM documents WHERE data ->> 'tag_id' = 'same'") == "1");
  CHECK(first.must(get_customer{acme, "full"}).tags.size() == tags_max);
}

TEST_CASE("who deletes what another one deletes at the same moment is told that it is not there") {
  const auto database = test_database::make();
  stores first(database), second(database);
  for (int i = 0; i < 30; ++i) {
    const auto id = "c" + std::to_string(i);
    first.must(customer(id, {"a"}));
    std::atomic<int> done = 0, missing = 0;
    std::vector<std::function<void()>> jobs;
    for (int k = 0; k < 4; ++k)
      jobs.emplace_back([&, k] {
        const auto answer = (k % 2 ? first : second).ask(delete_customer{acme, id});
        done += answer ? 1 : 0;
        missing += !answer && answer.failure().code == error_code::not_found ? 1 : 0;
      });
    at_once(jobs);
    CHECK(done == 1);
    CHECK(missing == 3);
  }
}

TEST_CASE("the guest is listed although the collection was deleted") {
  const auto database = test_database::make();
  stores all(database);
  CHECK(ids_of(all.must(list_customers{acme})) == texts{"guest"});
  database.exec("DELETE FROM documents; DELETE FROM collections");
  CHECK(ids_of(all.must(list_customers{acme})) == texts{"guest"});
}

TEST_CASE("customers and values are no larger than documents may be") {
  const auto database = test_database::make();
  stores all(database, {}, 1000);
  all.must(variable("v"));
  const auto large = "\"" + std::string(600, 'x') + "\"";
  CHECK(all.refusal(value("v", "k", large)) == error_code::payload_too_large);
  all.must(value("v", "k", "\"" + std::string(400, 'x') + "\""));
  auto wanted = customer("c");
  wanted.extra = "{\"a\":" + large + "}";
  CHECK(all.refusal(wanted) == error_code::payload_too_large);
}
