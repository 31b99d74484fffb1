// Writing documents: what changes, what is refused, and who wins when two do it at once.
#include "tests/db/document_store.hpp"

#include <algorithm>

using namespace colloquy;
using namespace colloquy::db;
using namespace colloquy::test;

namespace {

idempotency key_named(const std::string& key, const std::string& fingerprint = "f") {
  return {key, fingerprint, "POST /x"};
}

/// Does a unit while another connection holds what it locks, until that one has waited for it.
void while_blocked(document_store& store, const std::string& blocking_sql, const unit& work, unit_outcome& outcome,
                   const std::string& then) {
  test_connection other(store.database.superuser_conninfo());
  other.exec("BEGIN; " + blocking_sql);
  const auto tag = std::uint64_t{777};
  store.connection.submit(tag, work.calls);
  test_connection watcher(store.database.superuser_conninfo());
  store.connection.advance();
  for (int i = 0; i < 2000; ++i) {
    store.connection.advance();
    if (watcher.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname ="
                      " current_database()") != "0")
      break;
  }
  other.exec(then.empty() ? "COMMIT" : then);
  outcome = store.connection.outcome(tag);
}

} // namespace

TEST_CASE("an insert is all or none, and names the id that is taken") {
  document_store store;
  const auto first = store.insert({document_of("a", R"("v": 1)"), document_of("b")});
  REQUIRE(first);
  CHECK(first->reply.ids == std::vector<std::string>{"a", "b"});
  CHECK(std::to_string(first->bytes) == store.database.value("SELECT sum(octet_length(data::text)) FROM documents"));
  const auto refused = store.insert({document_of("z"), document_of("b"), document_of("a", R"("v": 2)")});
  CHECK(code_of(refused) == "conflict");
  CHECK(refused.failure().message.find("\"b\"") != std::string::npos);
  const auto twice = store.insert({document_of("y"), document_of("x"), document_of("x")});
  CHECK(code_of(twice) == "conflict");
  CHECK(twice.failure().message.find("\"x\"") != std::string::npos);
  CHECK(store.found("{}") == "a b");
  CHECK(store.found(R"({"v": {"$eq": 1}})") == "a");
  CHECK(store.terms_fit());
  store.collection = "never";
  CHECK(code_of(store.insert({document_of("x"), document_of("x")})) == "conflict");
  CHECK(store.collections() == "things");
}

TEST_CASE("ten thousand documents are one insert") {
  document_store store;
  std::vector<std::string> documents;
  for (int i = 0; i < 10'000; ++i)
    documents.push_back(document_of("d" + std::to_string(i), "\"k\": " + std::to_string(i % 100)));
  store.fill(documents);
  auto wanted = store.query(R"({"k": {"$eq": 7}})");
  wanted.limit = 10;
  CHECK(store.find(wanted)->total_count == 100);
  CHECK(store.terms_fit());
}

TEST_CASE("an update merges fields into the first that matches") {
  document_store store;
  store.fill(
      {document_of("b", R"("v": 1, "keep": [1])"), document_of("a", R"("v": 1)"), document_of("0", R"("v": 2)")});
  const auto done = store.update(R"({"v": {"$eq": 1}})", R"({"v": null, "new": {"x": 2.50}})");
  REQUIRE(done);
  CHECK(done->reply.matched == 1);
  CHECK(done->reply.modified == 1);
  const auto& text = *done->reply.document;
  CHECK(store.id_of(text) == "a");
  CHECK(text.find("\"v\": null") != std::string::npos);
  CHECK(text.find("2.50") != std::string::npos);
  CHECK(std::to_string(done->bytes) ==
        store.database.value("SELECT octet_length(data::text) - " +
                             std::to_string(document_of("a", R"("v": 1)").size()) + " FROM documents WHERE id = 'a'"));
  CHECK(store.found(R"({"v": {"$eq": 1}})") == "b");
  CHECK(store.found(R"({"v": {"$eq": null}})") == "a");
  const auto same = store.update(R"({"id": {"$eq": "b"}})", R"({"v": 1})");
  CHECK(same->reply.matched == 1);
  CHECK(same->reply.modified == 0);
  CHECK(same->bytes == 0);
  CHECK(store.update(R"({"id": {"$eq": "b"}})", R"({"v": 1.0})")->reply.modified == 1);
  const auto none = store.update(R"({"v": {"$gt": 100}})", R"({"v": 3})");
  CHECK(none->reply.matched == 0);
  CHECK(!none->reply.document);
  CHECK(store.terms_fit());
}

TEST_CASE("an id may change, but not to one that is taken; a place in the order changes with it") {
  document_store store;
  store.fill({document_of("a", R"("v": 1)"), document_of("b", R"("v": 1)")});
  const auto refused = store.update(R"({"id": {"$eq": "a"}})", R"({"id": "b"})");
  REQUIRE(code_of(refused) == "conflict");
  CHECK(refused.failure().message == "there is a document \"b\" already");
  CHECK(store.update(R"({"id": {"$eq": "a"}})", R"({"id": "c", "creation_utc": "2026"})")->reply.modified == 1);
  CHECK(store.found("{}") == "b c");
  CHECK(store.found(R"({"v": {"$eq": 1}})") == "b c");
  CHECK(store.terms_fit());
}

TEST_CASE("a document that would become too large is refused and stays") {
  document_store store;
  store.fill({document_of("a")});
  const auto half = "\"" + std::string(limits::document_bytes_max / 2, 'x') + "\"";
  CHECK(store.update("{}", "{\"one\": " + half + "}")->reply.modified == 1);
  CHECK(code_of(store.update("{}", "{\"two\": " + half + "}")) == "payload_too_large");
  CHECK(store.found(R"({"two": {"$ne": null}, "one": {"$gt": ""}})") == "a");
  CHECK(store.update("{}", "{\"one\": " + half + ", \"three\": 1}")->reply.modified == 1);
}

TEST_CASE("an upsert updates, or inserts what it was given as it is") {
  document_store store;
  auto wanted = store.change(R"({"k": {"$eq": 1}})", document_of("new", R"("k": 1, "n": 1)"));
  wanted.is_upsert = true;
  CHECK(store.update(wanted)->reply.matched == 0);
  const auto made = store.upsert(wanted);
  REQUIRE(made);
  CHECK(made->reply.matched == 0);
  CHECK(made->reply.modified == 0);
  CHECK(store.id_of(*made->reply.document) == "new");
  CHECK(made->bytes == static_cast<std::int64_t>(made->reply.document->size()));
  wanted.set = R"({"n": 2})";
  CHECK(store.upsert(wanted)->reply.modified == 1);
  CHECK(store.found(R"({"n": {"$eq": 2}})") == "new");
  wanted.where = filter_of(R"({"k": {"$eq": 5}})");
  wanted.set = document_of("new");
  const auto refused = store.upsert(wanted);
  REQUIRE(code_of(refused) == "conflict");
  CHECK(refused.failure().message == "there is a document \"new\" already");
  store.collection = "other";
  wanted.collection = "other";
  CHECK(store.upsert(wanted)->reply.matched == 0);
  CHECK(store.found("{}") == "new");
  CHECK(store.terms_fit());
}

TEST_CASE("a delete gives back the first that matches") {
  document_store store;
  store.fill({document_of("b", R"("v": 1)"), document_of("a", R"("v": 1)")});
  const auto gone = store.remove(R"({"v": {"$eq": 1}})");
  REQUIRE(gone);
  CHECK(store.id_of(gone->reply.document.value_or("")) == "a");
  CHECK(gone->bytes == -static_cast<std::int64_t>(gone->reply.document->size()));
  CHECK(store.remove(R"({"v": {"$gt": 0}})")->reply.document);
  CHECK(!store.remove("{}")->reply.document);
  CHECK(store.count("document_terms") == "0");
}

TEST_CASE("a deleted collection is gone with its documents, and a new one of that name is empty") {
  document_store store;
  store.fill({document_of("a", R"("v": 1)"), document_of("b")});
  store.collection = "kept";
  store.fill({document_of("a")});
  store.collection = "things";
  const auto gone = store.drop();
  REQUIRE(gone);
  CHECK(gone->documents == 2);
  CHECK(code_of(store.drop()) == "not_found");
  CHECK(store.collections() == "kept");
  store.fill({document_of("a")});
  CHECK(store.found("{}") == "a");
  CHECK(store.found(R"({"v": {"$eq": 1}})") == "");
  CHECK(store.terms_fit());
}

TEST_CASE("a repeated insert and upsert is answered as the first was") {
  document_store store;
  insert_documents wanted{store.tenant, store.collection, {document_of("a"), document_of("b")}, key_named("k")};
  CHECK(!store.insert(wanted)->is_repeated);
  const auto again = store.insert(wanted);
  REQUIRE(again);
  CHECK(again->is_repeated);
  CHECK(again->bytes == 0);
  CHECK(again->reply.ids == std::vector<std::string>{"a", "b"});
  wanted.repeat = key_named("k", "other");
  CHECK(code_of(store.insert(wanted)) == "idempotency_mismatch");
  wanted.repeat = key_named("k2");
  CHECK(code_of(store.insert(wanted)) == "conflict");
  CHECK(store.count("idempotency_keys") == "1"); // a refusal keeps no key

  auto change = store.change(R"({"k": {"$eq": 1}})", document_of("n", R"("k": 1)"));
  change.is_upsert = true;
  change.repeat = key_named("u");
  CHECK(store.update(change)->reply.matched == 0);
  CHECK(store.upsert(change)->reply.document);
  store.update(R"({"id": {"$eq": "n"}})", R"({"later": 1})").value();
  for (const bool inserts : {false, true}) {
    const auto repeated = inserts ? store.upsert(change) : store.update(change);
    REQUIRE(repeated);
    CHECK(repeated->is_repeated);
    CHECK(repeated->reply.matched == 0);
    CHECK(repeated->reply.document->find("later") == std::string::npos);
  }
  change.repeat = key_named("u", "other");
  CHECK(code_of(store.upsert(change)) == "idempotency_mismatch");
}

TEST_CASE("in a user's name there are that user's documents only, and none can be made another's") {
  document_store store;
  const auto user = std::optional<std::string>("ada");
  store.fill({document_of("a", R"("customer_id": "ada", "k": 1)"), document_of("b", R"("customer_id": "bob", "k": 1)"),
              document_of("c", R"("k": 1)"), document_of("d", R"("customer_id": "ada", "k": 1)")});
  auto wanted = store.query(R"({"k": {"$eq": 1}})");
  wanted.as_user = user;
  CHECK(store.ids(*store.find(wanted)) == "a d");
  wanted.where = filter_of(R"({"customer_id": {"$ne": "ada"}})");
  CHECK(store.find(wanted)->total_count == 0);
  auto change = store.change(R"({"id": {"$eq": "b"}})", R"({"k": 2})");
  change.as_user = user;
  CHECK(store.update(change)->reply.matched == 0);
  change.where = filter_of("{}");
  change.set = R"({"customer_id": "bob"})";
  CHECK(code_of(store.update(change)) == "forbidden");
  change.where = filter_of(R"({"k": {"$eq": 9}})");
  change.set = document_of("e", R"("customer_id": "bob")");
  CHECK(code_of(store.upsert(change)) == "forbidden");
  insert_documents insert{store.tenant, store.collection, {document_of("e")}, {}, user};
  CHECK(code_of(store.insert(insert)) == "forbidden");
  insert.documents = {document_of("b", R"("customer_id": "ada")")}; // another's, which it cannot see
  CHECK(lost_race(store.run(insert_unit(store.tables, insert))));
  CHECK(code_of(store.insert(insert)) == "conflict");
  insert.documents = {document_of("e", R"("customer_id": "ada")")};
  CHECK(store.insert(insert));
  delete_document gone{store.tenant, store.collection, filter_of(R"({"k": {"$eq": 1}})"), user};
  for (const std::string id : {"a", "d"})
    CHECK(store.id_of(*decode_deleted(store.run(delete_unit(store.tables, gone)))->reply.document) == id);
  CHECK(!decode_deleted(store.run(delete_unit(store.tables, gone)))->reply.document);
  CHECK(store.found("{}") == "b c e");
}

TEST_CASE("the row policy hides another user's documents from a statement that forgets to ask") {
  document_store store;
  store.fill(
      {document_of("a", R"("customer_id": "ada")"), document_of("b", R"("customer_id": "bob")"), document_of("c")});
  test_connection service(store.database.service_conninfo());
  service.exec("SET ROLE colloquy_service; SET colloquy.tenants = 'acme'");
  CHECK(service.value("SELECT string_agg(id, ' ' ORDER BY id) FROM documents") == "a b c");
  service.exec("SET colloquy.user_id = 'ada'");
  CHECK(service.value("SELECT string_agg(id, ' ' ORDER BY id) FROM documents") == "a");
  CHECK(service.sqlstate_of("UPDATE documents SET data = data || '{\"customer_id\": \"bob\"}'") == "42501");
  service.exec("SET colloquy.tenants = 'other'");
  CHECK(service.value("SELECT count(*) FROM documents") == "0");
  CHECK(service.value("SELECT count(*) FROM document_terms") == "0");
  CHECK(service.value("SELECT count(*) FROM collections") == "0");
}

// ---- two at once

TEST_CASE("updates of different fields at once both stay") {
  document_store store;
  store.fill({document_of("a", R"("k": 1)")});
  for (const std::string where :
       {"{}", R"({"id": {"$eq": "a"}})", R"({"k": {"$eq": 1}})", R"({"k": {"$in": [1, 2]}})"}) {
    store.database.exec("UPDATE documents SET data = data - 'one' - 'two'");
    unit_outcome outcome;
    while_blocked(store, "UPDATE documents SET data = data || '{\"one\": 1}'",
                  update_unit(store.tables, store.change(where, R"({"two": 2})")), outcome, "");
    const auto done = decode_updated(store.change(where, "{}"), outcome);
    REQUIRE(done);
    CHECK(done->reply.modified == 1);
    CHECK(store.found(R"({"one": {"$eq": 1}, "two": {"$eq": 2}})") == "a");
    CHECK(store.terms_fit());
  }
}

TEST_CASE("an update that waited for one who changed the first match goes on to the next one") {
  document_store store;
  for (const std::string where : {R"({"state": {"$eq": "queued"}})", R"({"state": {"$gt": "q", "$lt": "r"}})"}) {
    static_cast<void>(store.drop());
    store.fill({document_of("a", R"("state": "queued")"), document_of("b", R"("state": "queued")")});
    unit_outcome outcome;
    const auto wanted = store.change(where, R"({"state": "running"})");
    while_blocked(store, "UPDATE documents SET data = data || '{\"state\": \"taken\"}' WHERE id = 'a'",
                  update_unit(store.tables, wanted), outcome, "");
    const auto done = decode_updated(wanted, outcome);
    REQUIRE(done);
    CHECK(store.id_of(done->reply.document.value_or("")) == "b");
    CHECK(store.found(R"({"state": {"$eq": "taken"}})") == "a");
    CHECK(store.terms_fit());
  }
}

TEST_CASE("who lost the only match to another says so, and finds nothing when it looks again") {
  document_store store;
  store.fill({document_of("a", R"("state": "queued")")});
  const auto wanted = store.change(R"({"state": {"$eq": "queued"}})", R"({"state": "running"})");
  unit_outcome outcome;
  while_blocked(store, "UPDATE documents SET data = data || '{\"state\": \"taken\"}'",
                update_unit(store.tables, wanted), outcome, "");
  CHECK(lost_race(outcome));
  CHECK(store.update(wanted)->reply.matched == 0);
}

TEST_CASE("of two inserts of one id at once one is refused") {
  document_store store;
  store.fill({document_of("0")});
  const insert_documents wanted{store.tenant, store.collection, {document_of("a")}};
  unit_outcome outcome;
  while_blocked(store,
                "INSERT INTO documents (tenant_id, collection_id, data) SELECT 'acme', id, '" + document_of("a") +
                    "' FROM collections",
                insert_unit(store.tables, wanted), outcome, "");
  CHECK(lost_race(outcome));
  const auto again = store.insert(wanted);
  CHECK(code_of(again) == "conflict");
  CHECK(again.failure().message.find("\"a\"") != std::string::npos);
}

TEST_CASE("of two upserts with one filter at once one inserts and the other updates") {
  document_store first;
  driven_connection second(target_of(first.database));
  REQUIRE(second.make_ready());
  first.fill({document_of("0")});
  auto wanted = first.change(R"({"k": {"$eq": 1}})", document_of("a", R"("k": 1, "a": 1)"));
  auto other = first.change(R"({"k": {"$eq": 1}})", document_of("b", R"("k": 1, "b": 1)"));
  test_connection blocking(first.database.superuser_conninfo());
  blocking.exec("BEGIN; SELECT FROM collections FOR UPDATE");
  first.connection.submit(1000001, upsert_unit(first.tables, wanted).calls);
  second.submit(1000001, upsert_unit(first.tables, other).calls);
  first.connection.advance();
  second.advance();
  blocking.exec("COMMIT");
  const auto one = decode_updated(wanted, first.connection.outcome(1000001));
  const auto two = decode_updated(other, second.outcome(1000001));
  REQUIRE(one);
  REQUIRE(two);
  CHECK(one->reply.matched + two->reply.matched == 1);
  CHECK(first.database.value("SELECT count(*) FROM documents WHERE data @> '{\"a\": 1, \"b\": 1}'") == "1");
  CHECK(first.count("documents") == "2");
}

TEST_CASE("an insert that waited for the deletion of its collection says so, and then makes a new one") {
  document_store store;
  store.fill({document_of("a")});
  const insert_documents wanted{store.tenant, store.collection, {document_of("b")}};
  unit_outcome outcome;
  while_blocked(store, "SELECT FROM collections FOR UPDATE", insert_unit(store.tables, wanted), outcome,
                "DELETE FROM documents; DELETE FROM collections; COMMIT");
  CHECK(lost_race(outcome));
  CHECK(store.insert(wanted));
  CHECK(store.found("{}") == "b");
}

TEST_CASE("a deletion of a collection takes what was inserted while it waited") {
  document_store store;
  store.fill({document_of("a")});
  unit_outcome outcome;
  while_blocked(store,
                "SELECT FROM collections FOR KEY SHARE; INSERT INTO documents (tenant_id, collection_id, data) SELECT"
                " 'acme', id, '" +
                    document_of("b") + "' FROM collections",
                delete_collection_unit(store.tables, {store.tenant, store.collection}), outcome, "");
  const auto deleted = decode_deletion({store.tenant, store.collection}, outcome);
  CHECK(deleted->documents == 2);
  REQUIRE(deleted->hidden);
  CHECK(store.erase(*deleted->hidden, 10)->bytes < 0);
  CHECK(store.count("documents") == "0");
  CHECK(store.count("document_terms") == "0");
}

TEST_CASE("a document is counted as it came, not as it is spelled in the database") {
  document_store store;
  std::string compact = R"({"id":"x","version":"1","creation_utc":null)";
  for (int i = 0; i < 66'000; ++i)
    compact += ",\"f" + std::to_string(i) + "\":12345";
  compact += "}";
  REQUIRE(check_document(compact));
  store.fill({compact});
  CHECK(std::stoul(store.database.value("SELECT bytes FROM documents")) > limits::document_bytes_max);
  const auto changed = store.update("{}", R"({"f1": 123456})");
  REQUIRE(changed);
  CHECK(changed->reply.modified == 1);
  const auto large =
      store.update("{}", "{\"g\": \"" + std::string(limits::document_bytes_max - compact.size(), 'x') + "\"}");
  CHECK(code_of(large) == "payload_too_large");

  for (
      const std::string json :
      {R"("a": [1, {"b": -1.50e1, "\" , : \\": "x: y, \\\" z"}, [], {}, true, null, false, 1e-7, 1e3, "\u00e9\u0001\n"])",
       R"("": "", ", ": [ ", ", ": ", "\\" ], "k" : {"k":{"k":0}})"}) {
    const auto document = document_of("d", json);
    CHECK(store.database.value("SELECT document_bytes('" + document + "')") ==
          std::to_string(check_document(document)->bytes));
  }
}
