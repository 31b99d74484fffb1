// The documents actor on stepped time: what it refuses, what it asks, and what becomes of a request whatever happens.
#include "db/binary_codec.hpp"
#include "tests/actors/documents_fixture.hpp"
#include "tests/support/catch.hpp"

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;
using namespace std::string_literals;

namespace {

const auto acme = tenant_id::parse("acme").value();

std::string document(const std::string& id, const std::string& more = "") {
  return R"({"id":")" + id + R"(","version":"1","creation_utc":"t")" + (more.empty() ? "" : "," + more) + "}";
}

template <class Request>
Request about(const std::string& collection = "c") {
  Request wanted;
  wanted.tenant = acme;
  wanted.collection = collection;
  return wanted;
}

insert_documents insertion(std::vector<std::string> documents) {
  auto wanted = about<insert_documents>();
  wanted.documents = std::move(documents);
  return wanted;
}

update_document update(const std::string& set) {
  auto wanted = about<update_document>();
  wanted.set = set;
  return wanted;
}

open_store opening(const std::string& store) {
  open_store wanted;
  wanted.tenant = acme;
  wanted.store = store;
  wanted.version = "1";
  return wanted;
}

db::unit_outcome lost() {
  return {{}, db::db_failure{db::failure_kind::data, "23505", "the test says so"}};
}

/// What an update answers.
db::unit_outcome updated(const std::string& state, std::int64_t matched, std::int64_t bytes) {
  return {{one_row({state, db::encode_int8(matched), db::encode_int8(matched), std::nullopt, db::encode_int8(bytes)})},
          std::nullopt};
}

} // namespace

TEST_CASE("what the database could refuse of documents is refused before it is asked, with its place") {
  stepped_documents documents;
  const auto refused = [&](auto request) {
    const auto why = documents.refusal(std::move(request));
    CHECK_THAT(why, StartsWith("invalid_request: "));
    return why.substr(std::string("invalid_request: ").size());
  };
  CHECK_THAT(refused(insertion({})), StartsWith("/documents has 0"));
  CHECK_THAT(refused(insertion({document("a"), "{}"})), StartsWith("/documents/1/id is missing"));
  CHECK_THAT(refused(insertion({document("a"), "[]"})), StartsWith("/documents/1: the document must be"));
  CHECK_THAT(refused(insertion({"{}"})), StartsWith("/id is missing"));
  CHECK_THAT(documents.refusal(insertion({document("a"), document("b"), document("a")})),
             StartsWith("conflict: the id 'a' is twice"));
  auto many = insertion(std::vector(limits::documents_per_insert_max + 1, "{}"s));
  CHECK_THAT(refused(many), StartsWith("/documents has 10001"));
  for (const auto& name : {""s, "a\0b"s, "\xff"s, std::string(256, 'x')}) {
    CHECK_THAT(refused(about<find_documents>(name)), StartsWith("a collection's name"));
    CHECK_THAT(refused(about<delete_collection>(name)), StartsWith("a collection's name"));
    CHECK_THAT(refused(opening(name)), StartsWith("a store's name"));
  }
  auto wanted = about<find_documents>();
  wanted.limit = 0;
  CHECK_THAT(refused(wanted), StartsWith("limit is 0"));
  wanted.limit = limits::page_events_max + 1;
  refused(wanted);
  wanted.limit = 1;
  wanted.cursor = "\xff"s;
  CHECK_THAT(refused(wanted), StartsWith("/cursor"));
  wanted.cursor = document_position{"t", "a\0"s};
  CHECK_THAT(refused(wanted), StartsWith("/cursor"));
  wanted.cursor = {};
  wanted.where.kind = document_filter::what::test;
  CHECK_THAT(refused(wanted), StartsWith("/where"));
  auto one = about<find_document>();
  one.order = std::vector<field_order>{};
  CHECK_THAT(refused(one), StartsWith("/sort has 0"));
  one.order = std::vector<field_order>(limits::sort_fields_max + 1);
  refused(one);
  one.order = std::vector<field_order>{{"a", false}, {"\xff", false}};
  CHECK_THAT(refused(one), StartsWith("/sort/1/field"));
  one.order = document_order{};
  one.as_user = "";
  CHECK_THAT(refused(one), StartsWith("the user's name"));
  CHECK_THAT(refused(update("{}")), StartsWith("/set"));
  CHECK_THAT(refused(update(R"({"id":7})")), StartsWith("/set/id must be"));
  auto repeated = insertion({document("a")});
  repeated.repeat = idempotency{"", "print"};
  refused(repeated);
  auto store = opening("s");
  store.version = "";
  CHECK_THAT(refused(store), StartsWith("/version"));
  store = opening("s");
  store.collections = {"a", ""};
  CHECK_THAT(refused(store), StartsWith("/collections/1"));
  store.collections.assign(limits::store_collections_max + 1, "a");
  refused(store);
  CHECK(documents.pool.seen.empty());
}

TEST_CASE("a document larger than the setting allows is refused") {
  stepped_documents documents([](auto& options) { options.document_bytes_max = 200; });
  const auto large = document("a", R"("x":")" + std::string(200, 'x') + "\"");
  CHECK_THAT(documents.refusal(insertion({large})), StartsWith("payload_too_large: ") && ContainsSubstring("200"));
  CHECK_THAT(documents.refusal(update(large)), StartsWith("payload_too_large: "));
  CHECK(documents.pool.seen.empty());
}

TEST_CASE("a request is a unit of its tenant, with a deadline, which runs twice only if that does no harm") {
  stepped_documents documents;
  documents.hold_all();
  const auto asked = [&](auto request) {
    const auto pending = documents.begin(std::move(request));
    CHECK_FALSE(*pending);
    const auto unit = documents.pool.seen.back();
    CHECK(unit.tenant == "acme");
    CHECK(unit.deadline == documents.steps.system().clock().now() + 5s);
    return std::string(unit.purpose) + (unit.idempotent ? " again" : "");
  };
  CHECK(asked(insertion({document("a")})) == "insert_documents");
  CHECK(asked(about<find_documents>()) == "find_documents again");
  CHECK(asked(about<find_document>()) == "find_document again");
  CHECK(asked(update(R"({"a":1})")) == "update_document");
  CHECK(asked(about<delete_document>()) == "delete_document");
  CHECK(asked(about<delete_collection>()) == "delete_collection");
  CHECK(asked(list_collections{acme}) == "list_collections again");
  CHECK(asked(list_failed_migrations{acme, "s"}) == "list_failed_migrations again");
  CHECK(asked(opening("s")) == "open_store again");
  auto repeated = insertion({document("a")});
  repeated.repeat = idempotency{"key", "print"};
  CHECK(asked(repeated) == "insert_documents again");
  CHECK(documents.pool.seen.size() == 10);
}

TEST_CASE("who loses a race tries again, and not for ever") {
  stepped_documents documents;
  documents.pool.answering = [](const auto&) { return lost(); };
  CHECK_THAT(documents.refusal(insertion({document("a")})), StartsWith("conflict: "));
  CHECK(documents.pool.count("insert_documents") == 2);
  int left = 9;
  documents.pool.answering = [&](const auto&) { return left-- > 0 ? updated("race", 0, 0) : updated("done", 1, 3); };
  CHECK(documents.ask(update(R"({"a":1})"))->matched == 1);
  CHECK(documents.pool.count("update_document") == 10);
  left = 10;
  CHECK_THAT(documents.refusal(update(R"({"a":1})")), StartsWith("conflict: "));
  CHECK(documents.pool.count("update_document") == 20);
}

TEST_CASE("an upsert that matches nothing is asked once more, if it sets a whole document") {
  stepped_documents documents;
  auto wanted = update(document("a"));
  documents.pool.answering = [](const auto& unit) {
    return unit.purpose == "update_document" ? updated("none", 0, 0) : updated("done", 0, 50);
  };
  REQUIRE(documents.ask(wanted));
  CHECK(documents.pool.count("upsert_document") == 0);
  wanted.is_upsert = true;
  REQUIRE(documents.ask(wanted));
  CHECK(documents.pool.count("upsert_document") == 1);
  CHECK(documents.meter->take().at(acme).bytes == 50);
  wanted.set = R"({"id":"a","version":"1"})";
  CHECK_THAT(documents.refusal(wanted), StartsWith("invalid_request: /set/creation_utc is missing"));
  CHECK(documents.pool.count("upsert_document") == 1);
  documents.pool.answering = [](const auto&) { return updated("done", 1, -7); };
  REQUIRE(documents.ask(wanted));
  CHECK(documents.pool.count("upsert_document") == 1);
  CHECK(documents.meter->take().at(acme).bytes == -7);
}

TEST_CASE("requests under way are bounded, in number and in bytes") {
  stepped_documents documents([](auto& options) {
    options.under_way_max = 2;
    options.bytes_under_way_max = 100;
  });
  documents.hold_all();
  const auto first = documents.begin(insertion({document("a", R"("x":12345678901234567890)")}));
  CHECK_THAT(documents.refusal(insertion({document("b")})), StartsWith("overloaded: ")); // by its bytes
  const auto second = documents.begin(about<find_document>());
  CHECK_FALSE(*second);
  CHECK_THAT(documents.refusal(about<find_document>()), StartsWith("overloaded: "));
  documents.pool.answer_held(failed(db::failure_kind::wait));
  documents.steps.run();
  CHECK((*first)->failure().code == error_code::database_unavailable);
  CHECK_FALSE(*documents.begin(insertion({document("b")})));
}

TEST_CASE("a pool that never answers does not keep a caller waiting for ever") {
  stepped_documents documents;
  documents.hold_all();
  const auto answer = documents.begin(about<find_documents>());
  documents.steps.advance(5s, 500ms);
  CHECK_FALSE(*answer);
  documents.steps.advance(actors::pool_answer_margin + 1s, 500ms);
  REQUIRE(*answer);
  CHECK((*answer)->failure().code == error_code::deadline_exceeded);
}

TEST_CASE("what is under way when the actor dies is answered, and another one takes over") {
  stepped_documents documents;
  documents.hold_all();
  const auto first = documents.begin(insertion({document("a")}));
  const auto second = documents.begin(opening("s"));
  documents.kill_asker();
  for (const auto& code : {(*first)->failure().code, (*second)->failure().code})
    CHECK(code == error_code::internal);
  documents.pool.holding = [](const auto&) { return false; };
  documents.pool.answering = [](const auto&) { return updated("done", 1, 0); };
  CHECK(documents.ask(update(R"({"a":1})")));
}

TEST_CASE("what is under way at the end is answered") {
  stepped_documents documents;
  documents.hold_all();
  const auto first = documents.begin(about<find_documents>());
  const auto second = documents.begin(opening("s"));
  documents.end();
  CHECK((*first)->failure().code == error_code::internal);
  CHECK((*second)->failure().code == error_code::internal);
}

TEST_CASE("a store is opened by one at a time, others besides") {
  stepped_documents documents([](auto& options) { options.openings_max = 4; });
  documents.hold_all();
  const auto first = documents.begin(opening("s")), second = documents.begin(opening("s"));
  CHECK(documents.pool.count("open_store") == 1);
  const auto other = documents.begin(opening("t"));
  auto elsewhere = opening("s");
  elsewhere.tenant = tenant_id::parse("globex").value();
  const auto others = documents.begin(elsewhere);
  CHECK(documents.pool.count("open_store") == 3);
  CHECK_THAT(documents.refusal(opening("u")), StartsWith("overloaded: "));
  documents.pool.answer_held(failed(db::failure_kind::wait));
  documents.steps.run();
  CHECK((*first)->failure().code == error_code::database_unavailable);
  CHECK_FALSE(*second);
  CHECK(documents.pool.count("open_store") == 4);
  documents.begin(opening("u"));
  CHECK(documents.pool.count("open_store") == 5);
}

TEST_CASE("an opening that dies is answered, and the next one begins") {
  stepped_documents documents;
  documents.hold_all();
  const auto first = documents.begin(opening("s")), second = documents.begin(opening("s"));
  documents.kill_asker();
  REQUIRE(*first);
  CHECK((*first)->failure().code == error_code::internal);
  CHECK(documents.pool.count("open_store") == 2);
  documents.pool.held.erase(documents.pool.held.begin());
  documents.pool.answer_held(failed(db::failure_kind::wait));
  documents.steps.run();
  CHECK((*second)->failure().code == error_code::database_unavailable);
}
