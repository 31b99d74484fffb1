// Documents through the actor and a real PostgreSQL: what several at once do, what is counted, what is large.
#include "tests/actors/documents_pg_fixture.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/test_service.hpp"

#include <nlohmann/json.hpp>

#include <atomic>
#include <mutex>
#include <set>

using namespace colloquy;
using namespace colloquy::test;
using json = nlohmann::json;

TEST_CASE("a collection's life: made by an insert, asked, changed, and taken away") {
  const auto database = test_database::make();
  documents_process documents(database);
  CHECK(documents.ask(about_documents<find_documents>())->documents.empty());
  CHECK(documents.ask(about_documents<delete_collection>()).failure().code == error_code::not_found);
  REQUIRE(documents.ask(insertion_of({document_text("a", "1", R"("n":12345678901234567890.10)"), document_text("b")})));
  CHECK(documents.ask(insertion_of({document_text("c"), document_text("b")})).failure().code == error_code::conflict);
  const auto page = documents.ask(about_documents<find_documents>());
  REQUIRE(page);
  CHECK(page->total_count == 2);
  CHECK_THAT(page->documents.at(0), ContainsSubstring("12345678901234567890.10"));
  CHECK(documents.ask(about_documents<find_documents>("{}", "c", "rival"))->total_count == 0);
  CHECK(documents.ask(about_documents<find_documents>("{}", "C"))->total_count == 0);
  const auto changed = documents.ask(update_of(R"({"id":{"$eq":"a"}})", R"({"x":null})"));
  REQUIRE(changed);
  CHECK(changed->modified == 1);
  CHECK(json::parse(*changed->document)["x"].is_null());
  CHECK(documents.ask(about_documents<delete_document>(R"({"x":{"$eq":null}})"))->document);
  CHECK(documents.ask(list_collections{tenant("acme")})->collections.at(0).name == "c");
  CHECK(documents.ask(about_documents<delete_collection>())->documents == 1);
  CHECK(documents.ask(list_collections{tenant("acme")})->collections.empty());
}

TEST_CASE("a large collection is gone at once and erased in steps, also by who comes after the one that ended") {
  const auto database = test_database::make();
  const auto small_steps = [](actors::documents_options& options) {
    options.documents_per_erasure_max = 10;
    options.erasing_interval = std::chrono::milliseconds{200};
  };
  std::vector<std::string> many;
  for (int i = 0; i < 95; ++i)
    many.push_back(document_text("d" + std::to_string(i)));
  {
    documents_process documents(database, small_steps);
    REQUIRE(documents.ask(insertion_of(many)));
    CHECK(documents.ask(about_documents<delete_collection>())->documents == 95);
    CHECK(documents.ask(about_documents<find_documents>())->total_count == 0);
    CHECK(eventually([&] { return database.value("SELECT count(*) FROM documents") == "0"; }));
    CHECK(eventually([&] { return database.value("SELECT count(*) FROM document_erasures") == "0"; }));
    REQUIRE(documents.ask(insertion_of(many)));
  }
  // As a process leaves it that ended when it had just hidden a collection.
  database.exec("INSERT INTO document_erasures (tenant_id, collection_id) SELECT tenant_id, id FROM collections;"
                "DELETE FROM collections");
  documents_process next(database, small_steps);
  CHECK(eventually([&] { return database.value("SELECT count(*) FROM documents") == "0"; }));
  CHECK(eventually([&] { return database.value("SELECT count(*) FROM document_erasures") == "0"; }));
  CHECK(next.ask(about_documents<delete_collection>()).failure().code == error_code::not_found);
}

TEST_CASE("updates of different fields at once all stay") {
  const auto database = test_database::make();
  documents_process first(database), second(database);
  REQUIRE(first.ask(insertion_of({document_text("a")})));
  std::vector<std::function<void()>> jobs;
  for (int i = 0; i < 8; ++i)
    jobs.emplace_back([&, i] {
      for (int k = 0; k < 25; ++k)
        if (!(i % 2 ? first : second).ask(update_of("{}", "{\"f" + std::to_string(i * 25 + k) + "\":1}")))
          FAIL_CHECK("an update was refused");
    });
  at_once(jobs);
  const auto found = first.ask(about_documents<find_document>());
  REQUIRE(found);
  CHECK(json::parse(found->document.value()).size() == 3 + 200);
}

TEST_CASE("of several inserts of one id one is taken; of several upserts of one filter one inserts") {
  const auto database = test_database::make();
  documents_process first(database), second(database);
  std::atomic<int> inserted = 0, conflicts = 0, made = 0, updated = 0, others = 0;
  std::vector<std::function<void()>> jobs;
  for (int i = 0; i < 8; ++i)
    jobs.emplace_back([&, i] {
      auto& documents = i % 2 ? first : second;
      for (int k = 0; k < 10; ++k) {
        const auto id = std::to_string(k);
        const auto one = documents.ask(insertion_of({document_text("i" + id)}));
        one ? ++inserted : one.failure().code == error_code::conflict ? ++conflicts : ++others;
        const auto put = documents.ask(
            update_of(R"({"key":{"$eq":")" + id + "\"}}",
                      document_text("u" + id + "-" + std::to_string(i), "1", R"("key":")" + id + "\""), true));
        !put ? ++others : put->matched == 0 ? ++made : ++updated;
      }
    });
  at_once(jobs);
  CHECK(inserted == 10);
  CHECK(conflicts == 70);
  CHECK(made == 10);
  CHECK(updated == 70);
  CHECK(others == 0);
  CHECK(first.ask(about_documents<find_documents>())->total_count == 20);
}

TEST_CASE("several who each take the next open document never get the same one") {
  const auto database = test_database::make();
  documents_process first(database), second(database);
  std::vector<std::string> open;
  for (int i = 0; i < 60; ++i)
    open.push_back(document_text("d" + std::to_string(i), "1", R"("status":"open")"));
  REQUIRE(first.ask(insertion_of(open)));
  std::mutex mutex;
  std::multiset<std::string> taken;
  std::vector<std::function<void()>> jobs;
  for (int i = 0; i < 8; ++i)
    jobs.emplace_back([&, i] {
      for (;;) {
        const auto one =
            (i % 2 ? first : second).ask(update_of(R"({"status":{"$eq":"open"}})", R"({"status":"taken"})"));
        if (!one) {
          FAIL_CHECK(one.failure().message);
          return;
        }
        if (one->matched == 0)
          return;
        const std::lock_guard guard(mutex);
        taken.insert(json::parse(one->document.value())["id"]);
      }
    });
  at_once(jobs);
  CHECK(taken.size() == 60);
  CHECK(std::set(taken.begin(), taken.end()).size() == 60);
}

TEST_CASE("a repeated insert or upsert is answered as the first time, and another one under its key is refused") {
  const auto database = test_database::make();
  documents_process first(database), second(database);
  auto wanted = insertion_of({document_text("a")});
  wanted.repeat = idempotency{"key", "print"};
  REQUIRE(first.ask(wanted));
  CHECK(second.ask(wanted)->ids == std::vector<std::string>{"a"});
  CHECK(first.meter->take().at(tenant("acme")).bytes > 0);
  CHECK(second.meter->take().empty());
  wanted.repeat->fingerprint = "other";
  CHECK(first.ask(wanted).failure().code == error_code::idempotency_mismatch);
  auto upsert = update_of(R"({"id":{"$eq":"b"}})", document_text("b"), true);
  upsert.repeat = idempotency{"key", "print"};
  CHECK(first.ask(upsert)->matched == 0);
  CHECK(second.ask(upsert)->matched == 0);
  upsert.repeat.reset();
  CHECK(second.ask(upsert)->matched == 1);
}

TEST_CASE("pages neither skip nor repeat what was there all along, whatever is inserted and deleted meanwhile") {
  const auto database = test_database::make();
  documents_process documents(database);
  std::vector<std::string> all;
  for (int i = 0; i < 300; ++i)
    all.push_back(document_text("k" + std::to_string(1000 + i)));
  REQUIRE(documents.ask(insertion_of(all)));
  std::atomic<bool> done = false;
  std::vector<std::string> seen;
  at_once({[&] {
             for (int i = 0; !done; ++i) {
               const auto id = "k" + std::to_string(1000 + i * 7 % 300) + "x";
               if (!documents.ask(insertion_of({document_text(id)})) ||
                   !documents.ask(about_documents<delete_document>(R"({"id":{"$eq":")" + id + "\"}}")))
                 FAIL_CHECK("a change was refused");
             }
           },
           [&] {
             auto wanted = about_documents<find_documents>();
             wanted.limit = 7;
             for (bool has_more = true; has_more;) {
               const auto page = documents.ask(wanted);
               if (!page) {
                 FAIL_CHECK(page.failure().message);
                 break;
               }
               for (const auto& each : page->documents)
                 if (const std::string id = json::parse(each)["id"]; !id.ends_with("x"))
                   seen.push_back(id);
               has_more = !page->next_cursor.empty();
               wanted.cursor = page->next_cursor;
             }
             done = true;
           }});
  CHECK(seen.size() == 300);
  CHECK(std::is_sorted(seen.begin(), seen.end()));
  CHECK(std::set(seen.begin(), seen.end()).size() == 300);
}

TEST_CASE("ten thousand documents are inserted in one call, and a mebibyte or a hundred levels in one document") {
  const auto database = test_database::make();
  documents_process documents(database);
  std::vector<std::string> many;
  for (int i = 0; i < 10'000; ++i)
    many.push_back(
        document_text("m" + std::to_string(i), "1", R"("n":)" + std::to_string(i) + R"(,"tag":"some text")"));
  const auto began = std::chrono::steady_clock::now();
  REQUIRE(documents.ask(insertion_of(many)));
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began);
  WARN("10,000 documents in one call: " << took.count() << " ms");
  CHECK(documents.ask(about_documents<find_documents>(R"({"n":{"$gte":9990}})"))->total_count == 10);
  const auto frame = document_text("large", "1", R"("x":"")");
  const auto large =
      document_text("large", "1", R"("x":")" + std::string(limits::document_bytes_max - frame.size(), 'x') + "\"");
  CHECK(large.size() == limits::document_bytes_max);
  REQUIRE(documents.ask(insertion_of({large})));
  const auto deep = document_text("deep", "1", "\"x\":" + std::string(99, '[') + std::string(99, ']'));
  REQUIRE(documents.ask(insertion_of({deep})));
  CHECK(documents
            .ask(insertion_of({document_text("deeper", "1", "\"x\":" + std::string(100, '[') + std::string(100, ']'))}))
            .failure()
            .code == error_code::invalid_request);
  const auto back = documents.ask(about_documents<find_document>(R"({"id":{"$eq":"large"}})"));
  REQUIRE(back);
  CHECK(json::parse(back->document.value()) == json::parse(large));
}

TEST_CASE("what is stored in documents is counted, and counted off again") {
  test_service service;
  caf::scoped_actor self{service.system()};
  const auto ask = [&]<class Request>(Request request) {
    result<typename Request::reply> outcome{error{error_code::internal, "no answer"}};
    self->request(service.service().documents(), call_timeout, std::move(request))
        .receive([&](result<typename Request::reply>& answer) { outcome = std::move(answer); },
                 [](const caf::error&) {});
    return outcome;
  };
  const auto stored = [&] { return service.database().value("SELECT coalesce(sum(stored_bytes), 0) FROM tenants"); };
  REQUIRE(ask(insertion_of({document_text("a"), document_text("b", "1", R"("x":"größe")")})));
  const auto in_table = service.database().value("SELECT sum(octet_length(data::text)) FROM documents");
  CHECK(eventually([&] { return stored() == in_table; }));
  REQUIRE(ask(update_of(R"({"id":{"$eq":"b"}})", R"({"x":""})")));
  REQUIRE(ask(about_documents<delete_document>(R"({"id":{"$eq":"a"}})")));
  const auto left = service.database().value("SELECT sum(octet_length(data::text)) FROM documents");
  CHECK(left != in_table);
  CHECK(eventually([&] { return stored() == left; }));
  REQUIRE(ask(about_documents<delete_collection>()));
  CHECK(eventually([&] { return stored() == "0"; }));
  REQUIRE(service.service().stop(std::chrono::seconds{10}));
}
