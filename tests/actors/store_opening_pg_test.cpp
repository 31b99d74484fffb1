// Stores and their versions on a real PostgreSQL: each document converted once, whoever opens, and whoever dies.
#include "tests/actors/documents_pg_fixture.hpp"
#include "tests/support/catch.hpp"

#include <nlohmann/json.hpp>

#include <atomic>
#include <stdexcept>

using namespace colloquy;
using namespace colloquy::test;
using json = nlohmann::json;

namespace {

open_store opening(const std::string& version, std::vector<document_converter> converters = {}) {
  open_store wanted;
  wanted.tenant = tenant_id::parse("acme").value();
  wanted.store = "c";
  wanted.version = version;
  wanted.allow_migration = !converters.empty();
  wanted.converters = std::move(converters);
  return wanted;
}

document_converter step(std::optional<std::string> from, std::string to) {
  document_converter made;
  made.from = std::move(from);
  made.to = std::move(to);
  return made;
}

template <class Function>
document_converter calling(std::string from, std::string to, Function function) {
  auto made = step(std::move(from), std::move(to));
  made.convert = std::make_shared<const std::function<converted_document(std::string_view)>>(std::move(function));
  return made;
}

/// One more in "n".
converted_document counted(std::string_view document) {
  auto it = json::parse(document);
  it["n"] = it["n"].get<int>() + 1;
  return it.dump();
}

void fill(documents_process& documents, int count, const std::string& version = "1",
          const std::string& collection = "c") {
  std::vector<std::string> all;
  for (int i = 0; i < count; ++i)
    all.push_back(document_text("d" + std::to_string(i), version, R"("n":0)"));
  if (const auto done = documents.ask(insertion_of(all, collection)); !done)
    FAIL(done.failure().message);
}

std::int64_t count(documents_process& documents, const std::string& where, const std::string& collection = "c") {
  return documents.ask(about_documents<find_documents>(where, collection)).value().total_count;
}

failed_migration_page failures(documents_process& documents) {
  return documents.ask(list_failed_migrations{tenant_id::parse("acme").value(), "c"}).value();
}

error_code refusal(documents_process& documents, open_store wanted) {
  const auto answer = documents.ask(std::move(wanted));
  REQUIRE_FALSE(answer);
  return answer.failure().code;
}

} // namespace

TEST_CASE("a store is made by its first opening, and then of that version until it is allowed to go on") {
  const auto database = test_database::make();
  documents_process documents(database);
  fill(documents, 3);
  const auto made = documents.ask(opening("1"));
  REQUIRE(made);
  CHECK(made->version == "1");
  CHECK_FALSE(made->previous_version);
  CHECK(documents.ask(opening("1"))->previous_version == "1");
  CHECK(documents.ask(opening("01"))->version == "1");
  CHECK(refusal(documents, opening("2")) == error_code::migration_required);
  CHECK(refusal(documents, opening("0.9", {step("0", "0.9")})) == error_code::store_outdated);
  auto other = opening("1");
  other.collections = {"c", "d"};
  CHECK(refusal(documents, other) == error_code::conflict);
  CHECK(refusal(documents, opening("2", {step("1", "2"), step("1", "3")})) == error_code::invalid_request);
  CHECK(count(documents, R"({"version":{"$eq":"1"}})") == 3);
  const auto opened = documents.ask(opening("2", {step("1", "2")}));
  REQUIRE(opened);
  CHECK(opened->previous_version == "1");
  CHECK(opened->version == "2");
  CHECK(opened->migrated == 3);
  CHECK(opened->failed == 0);
  CHECK(count(documents, R"({"version":{"$eq":"2"}})") == 3);
  CHECK(documents.ask(opening("2", {step("1", "2")}))->migrated == 0);
  CHECK(refusal(documents, opening("1")) == error_code::store_outdated);
}

TEST_CASE("all collections of a store are converted, page by page, each document once; others are left alone") {
  const auto database = test_database::make();
  documents_process documents(database, [](auto& options) { options.documents_per_conversion_max = 20; });
  auto first = opening("1");
  first.collections = {"e", "c", "d", "none"};
  REQUIRE(documents.ask(first));
  for (const auto* collection : {"c", "d", "e", "other"})
    fill(documents, 50, "1", collection);
  REQUIRE(documents.ask(insertion_of({document_text("newer", "3", R"("n":0)"), document_text("same", "2", R"("n":0)"),
                                      R"({"id":"old","version":null,"creation_utc":null,"n":0})"},
                                     "d")));
  auto special = calling("1", "2", [](std::string_view text) {
    auto it = json::parse(text);
    it["n"] = 100;
    return converted_document(it.dump());
  });
  special.collection = "e";
  auto from_none = step(std::nullopt, "1");
  const auto opened = documents.ask(opening("2", {calling("1", "2", counted), special, from_none}));
  REQUIRE(opened);
  CHECK(opened->migrated == 151);
  CHECK(opened->failed == 0);
  CHECK(count(documents, R"({"n":{"$eq":1},"version":{"$eq":"2"}})", "c") == 50);
  CHECK(count(documents, R"({"n":{"$eq":1},"version":{"$eq":"2"}})", "d") == 51);
  CHECK(count(documents, R"({"n":{"$eq":0}})", "d") == 2);
  CHECK(count(documents, R"({"n":{"$eq":100}})", "e") == 50);
  CHECK(count(documents, R"({"n":{"$eq":0},"version":{"$eq":"1"}})", "other") == 50);
  CHECK(documents.meter->take().at(tenant_id::parse("acme").value()).bytes > 0);
}

TEST_CASE("what cannot be converted is moved, whole and once, with the reason; and comes back when it can") {
  const auto database = test_database::make();
  documents_process documents(database, [](auto& options) { options.documents_per_conversion_max = 3; });
  REQUIRE(documents.ask(opening("1")));
  fill(documents, 10);
  const auto picky = [](std::string_view text) -> converted_document {
    const std::string id = json::parse(text)["id"];
    if (id == "d3")
      throw std::runtime_error("three is too many");
    if (id == "d5")
      return error{error_code::invalid_request, "five declined"};
    return counted(text);
  };
  REQUIRE(documents.ask(insertion_of({document_text("strange", "0.7", R"("n":0,"big":12345678901234567890.10)")})));
  const auto opened = documents.ask(opening("2", {calling("1", "2", picky)}));
  REQUIRE(opened);
  CHECK(opened->migrated == 8);
  CHECK(opened->failed == 3);
  CHECK(count(documents, "{}") == 8);
  const auto page = failures(documents);
  REQUIRE(page.items.size() == 3);
  std::map<std::string, failed_migration> by_id;
  for (const auto& each : page.items)
    by_id.emplace(json::parse(each.document)["id"], each);
  CHECK(by_id.at("d3").reason == "the converter threw: three is too many");
  CHECK(by_id.at("d5").reason == "five declined");
  CHECK_THAT(by_id.at("strange").reason, ContainsSubstring("no converter takes a document of version '0.7'"));
  CHECK_THAT(by_id.at("strange").document, ContainsSubstring("12345678901234567890.10"));
  CHECK(by_id.at("strange").collection == "c");

  // Opening again reads none of them; a retry does, and those that fail again stay.
  CHECK(documents.ask(opening("2", {calling("1", "2", counted)}))->failed == 0);
  REQUIRE(documents.ask(insertion_of({document_text("d5", "2", R"("taken":true)")})));
  auto again = opening("2", {calling("1", "2", counted)});
  again.retry_failed = true;
  const auto retried = documents.ask(again);
  REQUIRE(retried);
  CHECK(retried->migrated == 1);
  CHECK(retried->failed == 2);
  CHECK(count(documents, R"({"id":{"$eq":"d3"},"n":{"$eq":1},"version":{"$eq":"2"}})") == 1);
  CHECK(count(documents, R"({"id":{"$eq":"d5"},"taken":{"$eq":true}})") == 1);
  CHECK(failures(documents).items.size() == 2);
}

TEST_CASE("two processes that open at once convert each document once, and both are answered") {
  const auto database = test_database::make();
  const auto small_pages = [](auto& options) { options.documents_per_conversion_max = 10; };
  documents_process first(database, small_pages), second(database, small_pages);
  REQUIRE(first.ask(opening("1")));
  fill(first, 300);
  std::vector<result<opened_store>> answers(4, error{});
  at_once({[&] { answers[0] = first.ask(opening("2", {calling("1", "2", counted)})); },
           [&] { answers[1] = second.ask(opening("2", {calling("1", "2", counted)})); },
           [&] { answers[2] = first.ask(opening("2", {calling("1", "2", counted)})); },
           [&] { answers[3] = second.ask(opening("2", {calling("1", "2", counted)})); }});
  std::int64_t migrated = 0;
  for (const auto& each : answers) {
    REQUIRE(each);
    CHECK(each->version == "2");
    migrated += each->migrated;
  }
  CHECK(migrated == 300);
  CHECK(count(first, R"({"n":{"$eq":1},"version":{"$eq":"2"}})") == 300);
}

TEST_CASE("who opens after a crash in the middle goes on, and converts nothing twice") {
  const auto database = test_database::make();
  const auto small_pages = [](auto& options) { options.documents_per_conversion_max = 10; };
  documents_process checker(database);
  REQUIRE(checker.ask(opening("1")));
  fill(checker, 200);
  std::atomic<int> seen = 0;
  {
    documents_process dying(database, small_pages);
    std::thread asking([&] {
      const auto answer = dying.ask(opening("2", {calling("1", "2", [&](std::string_view text) {
                                              ++seen;
                                              return counted(text);
                                            })}));
      CHECK_FALSE(answer);
    });
    while (seen < 75)
      std::this_thread::yield();
    dying.end();
    asking.join();
  }
  CHECK(failures(checker).items.empty());
  const auto done_before = count(checker, R"({"version":{"$eq":"2"}})");
  CHECK(done_before >= 50);
  CHECK(done_before < 200);
  // The record has not moved: without leave the store does not open, at either version.
  CHECK(refusal(checker, opening("2")) == error_code::migration_required);
  CHECK(refusal(checker, opening("1")) == error_code::store_outdated);
  const auto opened = checker.ask(opening("2", {calling("1", "2", counted)}));
  REQUIRE(opened);
  CHECK(opened->previous_version == "1");
  CHECK(opened->migrated == 200 - done_before);
  CHECK(count(checker, R"({"n":{"$eq":1},"version":{"$eq":"2"}})") == 200);
}

TEST_CASE("what is changed or inserted while a store is migrated is neither lost nor left behind") {
  const auto database = test_database::make();
  documents_process opener(database, [](auto& options) { options.documents_per_conversion_max = 5; });
  documents_process writer(database);
  REQUIRE(opener.ask(opening("1")));
  fill(opener, 150);
  std::atomic<bool> done = false;
  std::atomic<int> inserted = 0, marked = 0;
  at_once({[&] {
             const auto opened = opener.ask(opening("2", {calling("1", "2", counted)}));
             if (!opened)
               FAIL_CHECK(opened.failure().message);
             done = true;
           },
           [&] {
             for (int i = 0; i < 150 && (i < 10 || !done); ++i) {
               const auto id = "d" + std::to_string(149 - i);
               if (writer.ask(update_of(R"({"id":{"$eq":")" + id + "\"}}", R"({"mark":true})")))
                 ++marked;
               else
                 FAIL_CHECK("an update was refused");
               if (i % 10 == 0 && writer.ask(insertion_of({document_text("a-late" + id, "1", R"("n":0)")})))
                 ++inserted;
             }
           }});
  REQUIRE(opener.ask(opening("2", {calling("1", "2", counted)})));
  CHECK(count(opener, R"({"n":{"$nin":[0,1]}})") == 0);
  CHECK(inserted > 0);
  CHECK(count(opener, R"({"id":{"$lt":"b"}})") == inserted);
  CHECK(count(opener, R"({"mark":{"$eq":true}})") == marked);
  CHECK(count(opener, R"({"n":{"$eq":1},"version":{"$eq":"2"},"id":{"$gte":"d"}})") == 150);
  CHECK(failures(opener).items.empty());
}

TEST_CASE("what fails, and fails again in the same opening, is counted once") {
  const auto database = test_database::make();
  documents_process documents(database);
  REQUIRE(documents.ask(opening("1")));
  fill(documents, 3);
  const auto failing = calling("1", "2", [](std::string_view) -> converted_document {
    return error{error_code::invalid_request, "not this one"};
  });
  auto wanted = opening("2", {failing});
  wanted.retry_failed = true;
  const auto opened = documents.ask(wanted);
  REQUIRE(opened);
  CHECK(opened->migrated == 0);
  CHECK(opened->failed == 3);
  CHECK(documents.ask(wanted)->failed == 3);
  REQUIRE(documents.ask(about_documents<delete_collection>()));
  wanted.converters = {step("1", "2")};
  CHECK(documents.ask(wanted)->migrated == 0); // they went with their collection
  CHECK(count(documents, "{}") == 0);
}

TEST_CASE("a store that never was has no failed migrations") {
  const auto database = test_database::make();
  documents_process documents(database);
  const list_failed_migrations wanted{tenant_id::parse("acme").value(), "c"};
  CHECK(documents.ask(wanted).failure().code == error_code::not_found);
  REQUIRE(documents.ask(opening("1")));
  CHECK(documents.ask(wanted)->items.empty());
}

TEST_CASE("a large document with many fields is converted") {
  const auto database = test_database::make();
  documents_process documents(database);
  REQUIRE(documents.ask(opening("1")));
  std::string more;
  for (int i = 0; i < 66'000; ++i)
    more += (i == 0 ? "\"f" : ",\"f") + std::to_string(i) + "\":12345";
  REQUIRE(documents.ask(insertion_of({document_text("large", "1", more)})));
  const auto opened = documents.ask(opening("2", {step("1", "2")}));
  REQUIRE(opened);
  CHECK(opened->migrated == 1);
}

TEST_CASE("an opening that takes too long says so, and the next one goes on") {
  const auto database = test_database::make();
  documents_process slow(database, [](auto& options) {
    options.documents_per_conversion_max = 1;
    options.opening_timeout = std::chrono::milliseconds{300};
  });
  REQUIRE(slow.ask(opening("1")));
  fill(slow, 30);
  const auto sleepy = [](std::string_view text) {
    std::this_thread::sleep_for(std::chrono::milliseconds{30});
    return counted(text);
  };
  int tries = 1;
  auto answer = slow.ask(opening("2", {calling("1", "2", sleepy)}));
  for (; !answer && tries < 100; ++tries) {
    CHECK(answer.failure().code == error_code::deadline_exceeded);
    answer = slow.ask(opening("2", {calling("1", "2", sleepy)}));
  }
  REQUIRE(answer);
  CHECK(tries > 1);
  CHECK(count(slow, R"({"n":{"$eq":1}})") == 30);
}
