// Stores: their recorded version, and documents on their way from one version to the next.
#include "db/store_queries.hpp"
#include "tests/db/document_store.hpp"

#include <map>

using namespace colloquy;
using namespace colloquy::db;
using namespace colloquy::test;

namespace {

struct versioned_store : document_store {
  using document_store::document_store;

  store_place place{tenant, "shop"};
  std::vector<std::string> settled{"2"};

  result<store_record> open(const std::string& version) {
    return decode_store(run(open_store_unit(tables, {tenant, place.store, version, false, {}, {"things", "more"}})));
  }
  bool begin(const store_record& seen, const std::string& target) {
    return decode_begun(run(begin_migration_unit(place, seen, target))).value();
  }
  std::vector<unsettled_document> unsettled(const std::string& after = "", std::size_t limit = 100) {
    return decode_unsettled(run(unsettled_unit(tables, place, collection, settled, after, limit))).value();
  }
  unit write(const std::vector<document_conversion>& conversions, const std::string& target = "2") {
    return write_converted_unit(tables, place, collection, target, conversions);
  }
  store_record finish() {
    return decode_finished(run(finish_migration_unit(tables, place, "2", {"things", "more"}, settled))).value();
  }
  failed_migration_page failed(std::size_t limit = 100, const std::string& cursor = "") {
    const list_failed_migrations wanted{tenant, place.store, limit, cursor};
    return decode_failed_page(wanted, run(list_failed_unit(wanted).value())).value();
  }
};

std::string version_two(const std::string& id) {
  return "{\"id\": \"" + id + R"(", "version": "2", "creation_utc": null, "made": true})";
}

document_conversion converted(const unsettled_document& each) {
  return {each.id, each.document, version_two(each.id), ""};
}

} // namespace

TEST_CASE("a store is recorded once, with its collections") {
  versioned_store store;
  CHECK(store.open("1")->was_made);
  const auto again = store.open("9");
  REQUIRE(again);
  CHECK(!again->was_made);
  CHECK(again->version == "1");
  CHECK(!again->target);
  CHECK(again->collections == std::vector<std::string>{"things", "more"});
  CHECK(store.begin(*again, "2"));
  CHECK(!store.begin(*again, "3")); // what it saw is not so any more
  CHECK(store.open("1")->target == "2");
  CHECK(store.begin(*store.open("1"), "3"));
}

TEST_CASE("documents of other versions are converted where they are, and the version moves when none is left") {
  versioned_store store;
  store.fill({document_of("a"), document_of("b"), document_of("c"), version_two("d"),
              R"({"id": "e", "version": null, "creation_utc": null})"});
  CHECK(store.begin(*store.open("1"), "2"));
  const auto all = store.unsettled();
  REQUIRE(all.size() == 4);
  CHECK(all[0].id == "a");
  CHECK(all[0].version == "1");
  CHECK(!all[3].version);
  CHECK(store.unsettled("b", 1).at(0).id == "c");
  CHECK(store.finish().version == "1");
  store.update(R"({"id": {"$eq": "b"}})", R"({"v": 1})").value(); // changed since it was read
  std::vector<document_conversion> conversions;
  for (const auto& each : all)
    conversions.push_back(converted(each));
  conversions[2].after.clear();
  conversions[2].reason = "no";
  const auto done = decode_converted(store.run(store.write(conversions)));
  REQUIRE(done);
  CHECK(done->migrated == 2);
  CHECK(done->failed == 1);
  CHECK(store.unsettled().size() == 1);
  CHECK(store.finish().version == "1");
  CHECK(decode_converted(store.run(store.write({converted(store.unsettled().at(0))})))->migrated == 1);
  const auto record = store.finish();
  CHECK(record.version == "2");
  CHECK(!record.target);
  CHECK(store.found(R"({"made": {"$eq": true}})") == "a b d e");
  CHECK(store.failed().items.at(0).reason == "no");
  CHECK(store.failed().items.at(0).document == document_of("c"));
  CHECK(store.failed().items.at(0).collection == "things");
  CHECK(store.terms_fit());
  CHECK(decode_converted(store.run(store.write(conversions)))->migrated == 0); // it has ended
}

TEST_CASE("of two who convert the same documents at once each document is converted by one") {
  versioned_store store;
  std::vector<std::string> documents;
  for (int i = 100; i < 200; ++i)
    documents.push_back(document_of(std::to_string(i)));
  store.fill(documents);
  CHECK(store.begin(*store.open("1"), "2"));
  std::vector<document_conversion> conversions;
  for (const auto& each : store.unsettled())
    conversions.push_back(converted(each));
  for (int i = 0; i < 10; ++i)
    conversions[static_cast<std::size_t>(i * 10)].after.clear();
  driven_connection other(target_of(store.database));
  REQUIRE(other.make_ready());
  store.connection.submit(99, store.write(conversions).calls);
  other.submit(99, store.write(conversions).calls);
  store.connection.advance();
  const auto one = decode_converted(other.outcome(99)), two = decode_converted(store.connection.outcome(99));
  REQUIRE(one);
  REQUIRE(two);
  CHECK(one->migrated + two->migrated == 90);
  CHECK(one->failed + two->failed == 10);
  CHECK(store.count("failed_migrations") == "10");
  CHECK(store.terms_fit());
}

TEST_CASE("what is converted while its collection is deleted waits for that, and leaves nothing to come back") {
  versioned_store store;
  store.fill({document_of("a"), document_of("b")});
  CHECK(store.begin(*store.open("1"), "2"));
  auto conversions = std::vector{converted(store.unsettled().at(0)), converted(store.unsettled().at(1))};
  conversions[1].after.clear();
  test_connection deleting(store.database.superuser_conninfo());
  deleting.exec("BEGIN; DELETE FROM collections WHERE name = 'things'");
  store.connection.submit(99, store.write(conversions).calls);
  store.connection.advance();
  CHECK(store.connection.drive(
      [&] { return store.database.value("SELECT count(*) FROM pg_locks WHERE NOT granted") != "0"; }));
  deleting.exec("COMMIT");
  const auto done = decode_converted(store.connection.outcome(99));
  REQUIRE(done);
  CHECK(done->migrated + done->failed == 0);
  CHECK(store.count("failed_migrations") == "0");
}

TEST_CASE("failed ones are listed in the order in which they failed, and taken back when they succeed") {
  versioned_store store;
  store.fill({document_of("a"), document_of("b"), document_of("c")});
  CHECK(store.begin(*store.open("1"), "2"));
  std::vector<document_conversion> conversions;
  for (const auto& each : store.unsettled())
    conversions.push_back({each.id, each.document, "", "cannot " + each.id});
  CHECK(decode_converted(store.run(store.write(conversions)))->bytes == 0);
  CHECK(store.finish().version == "2");
  const auto first = store.failed(2);
  CHECK(first.items.size() == 2);
  CHECK(first.items.at(0).reason == "cannot a");
  const auto second = store.failed(2, first.next_cursor);
  CHECK(second.items.at(0).reason == "cannot c");
  CHECK(second.next_cursor.empty());
  for (const std::string bad : {"x", "-1", "1x", "0"})
    CHECK(code_of(list_failed_unit({store.tenant, "shop", 10, bad})) == "invalid_request");

  const auto failed = decode_failed(store.run(failed_unit(store.place, 0, 10))).value();
  REQUIRE(failed.size() == 3);
  CHECK(failed[1].id == "b");
  CHECK(failed[1].version == "1");
  store.fill({version_two("b")}); // taken meanwhile
  const std::vector<retried_conversion> retried{{failed[0].number, version_two("a"), ""},
                                                {failed[1].number, version_two("b"), ""},
                                                {failed[2].number, "", "still not"},
                                                {failed[2].number + 100, version_two("z"), ""}};
  const auto done = decode_converted(store.run(write_retried_unit(store.tables, store.place, "things", retried)));
  REQUIRE(done);
  CHECK(done->migrated == 1);
  CHECK(done->failed == 2);
  CHECK(store.found("{}") == "a b");
  const auto left = store.failed();
  CHECK(left.items.at(0).reason == "its id has been taken by another document");
  CHECK(left.items.at(1).reason == "still not");
  CHECK(decode_converted(store.run(write_retried_unit(store.tables, store.place, "things", retried)))->migrated == 0);
  CHECK(store.terms_fit());
  list_failed_migrations other{tenant_id::parse("other").value(), "shop"};
  CHECK(code_of(decode_failed_page(other, store.run(list_failed_unit(other).value()))) == "not_found");
}
