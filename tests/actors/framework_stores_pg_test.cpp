// Customers and context variables on a real PostgreSQL.
#include "db/document_table_adoption.hpp"
#include "tests/actors/framework_stores_fixture.hpp"

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

TEST_CASE("a guest always exists, in each tenant, and cannot be deleted") {
  const auto database = test_database::make();
  stores all(database);
  CHECK(all.must(get_customer{acme, guest_customer}).name == "Guest");
  const auto rival = tenant_id::parse("rival").value();
  CHECK(ids_of(all.must(list_customers{rival})) == texts{"guest"});
  CHECK(all.refusal(delete_customer{acme, guest_customer}) == error_code::invalid_request);
  CHECK(all.refusal(customer("guest")) == error_code::conflict);
  CHECK(all.must(tag_customer{acme, guest_customer, "new"}).tags == texts{"new"});
  CHECK(all.must(get_customer{rival, guest_customer}).tags.empty());
  // Even if its document is taken away.
  database.exec("DELETE FROM documents WHERE id = 'guest'");
  CHECK(all.must(get_customer{acme, guest_customer}).name == "Guest");
  stores others(database);
  CHECK(others.must(get_customer{acme, guest_customer}).name == "Guest");
}

TEST_CASE("a customer's life: made, found, changed, tagged, deleted with its tags") {
  const auto database = test_database::make();
  stores all(database);
  auto wanted = customer("c1", {"b", "a", "b"});
  wanted.extra = R"({"plan": "gold", "n": 12345678901234567890.10})";
  CHECK(all.must(wanted).tags == texts{"b", "a"});
  CHECK(all.refusal(wanted) == error_code::conflict);
  CHECK(all.refusal(customer("c1")) == error_code::conflict);
  CHECK(all.must(get_customer{acme, "c1"}).tags == texts{"b", "a"});
  const auto made = all.must(get_customer{acme, "c1"});
  CHECK(made.name == "Name of c1");
  CHECK_THAT(made.extra, ContainsSubstring("12345678901234567890.10"));
  CHECK(made.creation_utc == "2024-01-01T00:00:00.000000Z");
  auto unnamed = customer("");
  unnamed.id.reset();
  CHECK(all.must(unnamed).id.size() == 36);
  CHECK(all.refusal(get_customer{acme, "c2"}) == error_code::not_found);
  CHECK(all.refusal(get_customer{tenant_id::parse("rival").value(), "c1"}) == error_code::not_found);

  CHECK(all.must(tag_customer{acme, "c1", "c"}).tags == texts{"b", "a", "c"});
  CHECK(all.must(tag_customer{acme, "c1", "a"}).tags == texts{"b", "a", "c"});
  CHECK(all.must(untag_customer{acme, "c1", "b"}).tags == texts{"a", "c"});
  CHECK(all.must(untag_customer{acme, "c1", "b"}).tags == texts{"a", "c"});
  CHECK(all.refusal(tag_customer{acme, "c2", "a"}) == error_code::not_found);
  CHECK(all.refusal(untag_customer{acme, "c2", "a"}) == error_code::not_found);
  const auto changed = all.must(update_customer{acme, "c1", "New", std::nullopt});
  CHECK(changed.name == "New");
  CHECK_THAT(changed.extra, ContainsSubstring("gold"));
  CHECK(changed.tags == texts{"a", "c"});
  CHECK(all.must(update_customer{acme, "c1", std::nullopt, "{}"}).extra == "{}");
  CHECK(all.refusal(update_customer{acme, "c2", "New", std::nullopt}) == error_code::not_found);

  CHECK(count(database, "customer_tag_associations") == "2");
  all.must(delete_customer{acme, "c1"});
  CHECK(count(database, "customer_tag_associations") == "0");
  CHECK(all.refusal(get_customer{acme, "c1"}) == error_code::not_found);
  CHECK(all.refusal(delete_customer{acme, "c1"}) == error_code::not_found);
  CHECK(all.must(customer("c1")).tags.empty());
}

TEST_CASE("customers are listed in order, page by page, and by tag, each with its tags") {
  const auto database = test_database::make();
  stores all(database);
  all.must(list_customers{acme}); // the guest is first
  for (int i = 0; i < 7; ++i) {
    all.now = all.now.load() + 1s;
    all.must(customer("c" + std::to_string(9 - i), i % 2 ? texts{"odd", "x" + std::to_string(i)} : texts{}));
  }
  texts seen;
  list_customers wanted{acme};
  wanted.limit = 3;
  do {
    const auto page = all.must(wanted);
    for (const auto& each : page.customers)
      seen.push_back(each.id + ":" + std::to_string(each.tags.size()));
    wanted.cursor = page.next_cursor;
  } while (!wanted.cursor.empty());
  CHECK(seen == texts{"guest:0", "c9:0", "c8:2", "c7:0", "c6:2", "c5:0", "c4:2", "c3:0"});
  wanted.tag = "odd";
  wanted.limit = 2;
  const auto first = all.must(wanted);
  CHECK(ids_of(first) == texts{"c8", "c6"});
  CHECK(first.customers.at(1).tags == texts{"odd", "x3"});
  wanted.cursor = first.next_cursor;
  CHECK(ids_of(all.must(wanted)) == texts{"c4"});
  wanted.cursor = "nonsense";
  CHECK(all.refusal(wanted) == error_code::invalid_request);
}

TEST_CASE("what is no customer is refused") {
  const auto database = test_database::make();
  stores all(database);
  const auto is_refused = [&](auto change) {
    auto wanted = customer("x");
    change(wanted);
    CHECK(all.refusal(wanted) == error_code::invalid_request);
  };
  is_refused([](auto& of) { of.id = ""; });
  is_refused([](auto& of) { of.id = std::string(256, 'x'); });
  is_refused([](auto& of) { of.name = "\xff"; });
  is_refused([](auto& of) { of.extra = "[]"; });
  is_refused([](auto& of) { of.extra = "{"; });
  is_refused([](auto& of) { of.extra = R"({"a": 1e2000})"; });
  is_refused([](auto& of) { of.tags = {""}; });
  is_refused([](auto& of) { of.tags = texts(tags_max + 1, "t"); });
  auto large = customer("x");
  large.extra = "{\"a\":\"" + std::string(limits::document_bytes_max, 'x') + "\"}";
  CHECK(all.refusal(large) == error_code::payload_too_large);
  CHECK(all.refusal(update_customer{acme, "x"}) == error_code::invalid_request);
  CHECK(count(database, "customers") == "0");
}

TEST_CASE("a tag that is given while its customer is deleted does not stay behind") {
  const auto database = test_database::make();
  stores first(database), second(database);
  for (int i = 0; i < 40; ++i) {
    const auto id = "c" + std::to_string(i);
    first.must(customer(id, {"a"}));
    at_once({[&] {
               static_cast<void>(first.ask(delete_customer{acme, id}));
             },
             [&] {
               static_cast<void>(second.ask(tag_customer{acme, id, "late"}));
             },
             [&] {
               static_cast<void>(second.ask(tag_customer{acme, id, "later"}));
             }});
  }
  CHECK(count(database, "customer_tag_associations") == "0");
  CHECK(count(database, "customers") == "0");
  std::atomic<int> made = 0;
  at_once({[&] { made += first.ask(customer("same", {"a"})) ? 1 : 0; },
           [&] { made += second.ask(customer("same", {"b"})) ? 1 : 0; },
           [&] { made += second.ask(customer("same", {"c"})) ? 1 : 0; }});
  CHECK(made == 1);
  CHECK(first.must(get_customer{acme, "same"}).tags.size() == 1);
}

TEST_CASE("a variable's life: made, changed, tagged, deleted with its values") {
  const auto database = test_database::make();
  stores all(database);
  auto wanted = variable("v", "0 3 * * *");
  wanted.description = "what it is";
  wanted.tool_id = "weather:now";
  wanted.tags = {"t"};
  all.must(wanted);
  all.must(variable("w"));
  const auto made = all.must(get_context_variable{acme, "v"});
  CHECK(made.description == "what it is");
  CHECK(made.tool_id == "weather:now");
  CHECK(made.freshness_rules == "0 3 * * *");
  CHECK(made.tags == texts{"t"});
  CHECK_FALSE(all.must(get_context_variable{acme, "w"}).description);
  update_context_variable change{acme, "v"};
  change.description.emplace(std::nullopt);
  change.name = "other";
  const auto changed = all.must(change);
  CHECK(changed.name == "other");
  CHECK_FALSE(changed.description);
  CHECK(changed.tool_id == "weather:now");
  change.freshness_rules.emplace("every day");
  CHECK(all.refusal(change) == error_code::invalid_request);
  CHECK(all.refusal(variable("x", "61 * * * *")) == error_code::invalid_request);
  CHECK(all.must(tag_context_variable{acme, "w", "t"}).tags == texts{"t"});
  list_context_variables by_tag{acme};
  by_tag.tag = "t";
  CHECK(all.must(by_tag).variables.size() == 2);
  all.must(untag_context_variable{acme, "w", "t"});
  CHECK(all.must(by_tag).variables.size() == 1);

  for (const auto* key : {"a", "b", "DEFAULT"})
    all.must(value("v", key, "1"));
  all.must(value("w", "a", "2"));
  CHECK(all.must(list_context_values{acme, "v"}).values.size() == 3);
  all.must(delete_context_variable{acme, "v"});
  CHECK(all.refusal(list_context_values{acme, "v"}) == error_code::not_found);
  CHECK(count(database, "context_variable_values") == "1");
  CHECK(count(database, "context_variable_tag_associations") == "0");
  CHECK(all.refusal(delete_context_variable{acme, "v"}) == error_code::not_found);
  CHECK(all.meter->take().at(acme).bytes ==
        std::stoll(database.value("SELECT sum(octet_length(data::text)) FROM documents")));
}

TEST_CASE("a value is put, found and deleted by variable and key, and put again in its place") {
  const auto database = test_database::make();
  stores first(database), second(database);
  first.must(variable("v"));
  CHECK(first.refusal(value("none", "k", "1")) == error_code::not_found);
  CHECK(first.refusal(value("v", "", "1")) == error_code::invalid_request);
  CHECK(first.refusal(value("v", "k", "{")) == error_code::invalid_request);
  CHECK(first.refusal(get_context_value{acme, "v", "k"}) == error_code::not_found);
  first.must(value("v", "k", R"({"a": [1.10]})"));
  CHECK(first.must(get_context_value{acme, "v", "k"}).data == R"({"a": [1.10]})");
  const auto id = database.value("SELECT id FROM documents WHERE data ? 'last_modified'");
  first.must(value("v", "k", "null"));
  CHECK(first.must(get_context_value{acme, "v", "k"}).data == "null");
  CHECK(database.value("SELECT id FROM documents WHERE data ? 'last_modified'") == id);
  std::atomic<int> done = 0;
  std::vector<std::function<void()>> jobs;
  for (int i = 0; i < 8; ++i)
    jobs.emplace_back([&, i] {
      for (int k = 0; k < 5; ++k)
        done += (i % 2 ? first : second).ask(value("v", "same" + std::to_string(k), std::to_string(i))) ? 1 : 0;
    });
  at_once(jobs);
  CHECK(done == 40);
  CHECK(first.must(list_context_values{acme, "v"}).values.size() == 6);
  first.must(delete_context_value{acme, "v", "k"});
  CHECK(first.refusal(delete_context_value{acme, "v", "k"}) == error_code::not_found);
}

TEST_CASE("a value is looked up by customer, the customer's tags in their order, agent, and DEFAULT") {
  const auto database = test_database::make();
  stores all(database);
  all.must(variable("v"));
  all.must(customer("c", {"first", "second"}));
  CHECK(looked_up(all, "v", "c", "a") == "none");
  for (const auto* key : {"DEFAULT", "agent:a", "tag:second", "tag:first", "c"}) {
    CHECK_FALSE(looked_up(all, "v", "c", "a") == std::string(key) + "=1");
    all.must(value("v", key, "1"));
    CHECK(looked_up(all, "v", "c", "a") == std::string(key) + "=1");
  }
  CHECK(looked_up(all, "v", "stranger", "a") == "agent:a=1");
  CHECK(looked_up(all, "v", "stranger", "b") == "DEFAULT=1");
  CHECK(looked_up(all, "v", std::nullopt, std::nullopt) == "DEFAULT=1");
  all.must(untag_customer{acme, "c", "first"});
  all.must(delete_context_value{acme, "v", "c"});
  CHECK(looked_up(all, "v", "c", "a") == "tag:second=1");
  CHECK(all.refusal(look_up_context_value{acme, "none"}) == error_code::not_found);
}

TEST_CASE("a value is stale from the first tick after its last change") {
  const auto database = test_database::make();
  stores all(database);
  all.must(variable("v", "0 3 * * *"));
  all.must(variable("always"));
  all.must(value("always", "k", "1"));
  const auto is_stale = [&] {
    const auto at = all.must(get_context_value{acme, "v", "k"}).is_stale;
    CHECK(all.must(list_context_values{acme, "v"}).values.at(0).is_stale == at);
    CHECK(all.must(look_up_context_value{acme, "v", "k"}).value->is_stale == at);
    return at;
  };
  all.must(value("v", "k", "1"));
  CHECK_FALSE(is_stale());
  all.now = all.now.load() + 3h - 1us;
  CHECK_FALSE(is_stale());
  all.now = all.now.load() + 1us;
  CHECK(is_stale());
  all.must(value("v", "k", "1")); // exactly at a tick: the next one
  CHECK_FALSE(is_stale());
  all.now = all.now.load() + 24h - 1us;
  CHECK_FALSE(is_stale());
  all.now = all.now.load() + 1us;
  CHECK(is_stale());
  CHECK_FALSE(all.must(get_context_value{acme, "always", "k"}).is_stale);
  // As a framework has written it.
  database.exec(R"(UPDATE documents SET data = data || '{"last_modified": "2024-01-02T04:59:59.5+02:00"}')"
                R"( WHERE data ->> 'variable_id' = 'v')");
  all.now = *actors::read_time("2024-01-02T02:59:59Z");
  CHECK_FALSE(is_stale());
  all.now = *actors::read_time("2024-01-02T03:00:00Z");
  CHECK(is_stale());
  database.exec(R"(UPDATE documents SET data = data || '{"last_modified": "long ago"}')"
                R"( WHERE data ->> 'variable_id' = 'v')");
  CHECK(is_stale());
}

TEST_CASE("in the tables that a framework has they are the same, and what it has put there is found") {
  const auto database = test_database::make();
  config::settings settings;
  settings.customers_table_prefix = "parlant_customers_";
  settings.context_variables_table_prefix = "parlant_context_variables_";
  const auto adopted = db::adopt_store_tables(database.owner_conninfo(), "public", db::document_tables(settings));
  if (!adopted)
    FAIL(adopted.failure().message);
  database.exec(R"sql(
    INSERT INTO parlant_customers_ (id, version, creation_utc, data) VALUES ('old', '0.1.0', '2024-01-01',
      '{"id": "old", "version": "0.1.0", "creation_utc": "2024-01-01", "name": "Old", "extra": {"k": "v"}}');
    INSERT INTO parlant_customers_customer_tag_associations (id, version, creation_utc, data) VALUES
      ('l1', '0.1.0', '2024-01-01', '{"id": "l1", "version": "0.1.0", "creation_utc": "2024-01-01",
        "customer_id": "old", "tag_id": "vip"}');
    INSERT INTO parlant_context_variables_ (id, version, creation_utc, data) VALUES ('v', '0.1.0', '2024-01-01',
      '{"id": "v", "version": "0.1.0", "creation_utc": "2024-01-01", "name": "V", "freshness_rules": "0 3 * * *"}');
    INSERT INTO parlant_context_variables_values (id, version, creation_utc, data) VALUES ('x', '0.1.0', '2024-01-01',
      '{"id": "x", "version": "0.1.0", "creation_utc": "2024-01-01", "last_modified": "2023-12-31T00:00:00+00:00",
        "variable_id": "v", "key": "tag:vip", "data": {"a": 1}}'))sql");
  stores all(database, settings);
  const auto own = tenant_id::parse("default").value();
  const auto old = all.must(get_customer{own, "old"});
  CHECK(old.name == "Old");
  CHECK(old.tags == texts{"vip"});
  const auto found = all.must(look_up_context_value{own, "v", "old"});
  REQUIRE(found.value);
  CHECK(found.value->data == R"({"a": 1})");
  CHECK(found.value->is_stale);
  CHECK(ids_of(all.must(list_customers{own})) == texts{"old", "guest"});
  CHECK(all.refusal(get_customer{acme, "old"}) == error_code::not_found);
  all.must(customer("old", {"a"})); // another tenant's
  all.must(delete_customer{own, "old"});
  all.must(delete_context_variable{own, "v"});
  CHECK(
      database.value("SELECT string_agg(tenant_id || ':' || id, ' ' ORDER BY tenant_id, id) FROM parlant_customers_") ==
      "acme:old default:guest");
  CHECK(database.value("SELECT count(*) FROM parlant_customers_customer_tag_associations") == "1");
  CHECK(database.value("SELECT count(*) FROM parlant_context_variables_values") == "0");
  CHECK(database.value("SELECT count(*) FROM documents") == "0");
}
